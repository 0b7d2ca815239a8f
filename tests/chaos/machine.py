"""A container engine in memory: it and its containers outlive the worker's lives."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import docker.errors
import requests
import trio
from attrs import define, field

from iexec_worker.engine.client import refusal
from tests.chaos.clockwork import EPOCH
from tests.chaos.mortal import breathe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

NEVER: Final = "0001-01-01T00:00:00Z"

#: The exit code of a container that was killed.
_KILLED: Final = 137

#: Between two looks at a container whose end nobody knows.
_LOOK: Final = 0.5


class Blocking(Exception):
    """Raised in the place of a call that would not return before *until* (Trio's time)."""

    def __init__(self, until: float) -> None:
        self.until = until
        super().__init__(until)


@define(eq=False)
class Container:
    """A container; it writes its result at its *end* (Trio's time), unless it is killed before."""

    id: str
    request: dict[str, Any]
    status: str = "created"
    started: str = NEVER
    finished: str = NEVER
    end: float = 0.0
    exit_code: int = 0
    #: It ends when it has done what it does, whenever that is.
    open_ended: bool = False

    def inspected(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Name": "/" + self.request["name"],
            "Config": {"Image": self.request["image"], "Labels": self.request["labels"]},
            "State": {
                "Status": self.status,
                "StartedAt": self.started,
                "FinishedAt": self.finished,
                "ExitCode": self.exit_code,
                "OOMKilled": False,
            },
        }

    def stop(self, at: float) -> None:
        self.status, self.finished = "exited", _text(at)


@define(eq=False)
class Machine:
    """
    The engine, as the docker SDK's client shows it. *seconds*: how long apps and pulls take.

    *place* says where a path that a life of the worker named is now.
    """

    place: Callable[[str], Path]
    seconds: float = 12.0
    pull_seconds: float = 6.0
    pullable: bool = True
    #: What apps write into `computed.json`; None: they fail, and write nothing at all.
    computed: dict[str, str] | None = field(
        factory=lambda: {"deterministic-output-path": "/iexec_out/result.txt"}
    )
    images: set[str] = field(factory=set)
    held: dict[str, Container] = field(factory=dict)
    #: Containers that were started, ever.
    runs: int = 0
    #: Is a container that was started, if it is not only one that writes a result at its end.
    animate: Callable[[Container], bool] = lambda _: False
    base_url: str = "http+docker://machine"
    api_version: str = "1.44"
    _made: int = 0
    _pulled_at: float | None = None

    def settle(self) -> None:
        """Let those end whose time has come."""
        for container in self.held.values():
            ends = not container.open_ended and container.end <= trio.current_time()
            if container.status == "running" and ends:
                container.stop(container.end)
                self._write(container)

    def _write(self, container: Container) -> None:
        mounts = container.request["host_config"]["mounts"]
        places = {m["Target"]: self.place(m["Source"]) for m in mounts}
        if "/iexec_out" not in places:
            (places["/iexec_in"] / "input").write_text("21")
            return
        out = places["/iexec_out"]
        if self.computed is None:
            container.exit_code = 1
        elif out.exists():
            (out / "result.txt").write_text("42")
            (out / "computed.json").write_text(json.dumps(self.computed))

    def hang_up(self) -> None:
        """Stop pulling: the client has gone."""
        self._pulled_at = None

    def ping(self) -> bool:
        return True

    def version(self) -> dict[str, str]:
        return {"Os": "linux", "Arch": "amd64"}

    def inspect_distribution(self, image: str, **_: object) -> NoReturn:
        raise docker.errors.NotFound(f"the registry says nothing of {image}")

    def inspect_image(self, image: str) -> dict[str, Any]:
        if image not in self.images:
            raise docker.errors.ImageNotFound(f"no such image: {image}")
        return {"Id": "sha256:1", "Size": 1, "RepoTags": [image]}

    def pull(self, name: str, version: str, **_: object) -> Messages:
        if not self.pullable:
            raise docker.errors.ImageNotFound(f"manifest for {name}:{version} not found")
        if self._pulled_at is None:
            self._pulled_at = trio.current_time() + self.pull_seconds
        if trio.current_time() < self._pulled_at:
            raise Blocking(self._pulled_at)
        self._pulled_at = None
        self.images.add(f"{name}:{version}")
        return Messages([{"status": "Downloaded"}])

    def create_host_config(self, **config: object) -> dict[str, Any]:
        return config

    def create_container(self, **request: Any) -> dict[str, str]:  # noqa: ANN401 - the SDK's
        if any(c.request["name"] == request["name"] for c in self.held.values()):
            _refuse(409, f"the name {request['name']} is in use")
        for mount in request["host_config"]["mounts"]:
            if not self.place(mount["Source"]).exists():
                _refuse(400, f"bind source path does not exist: {mount['Source']}")
        self._made += 1
        made = Container(f"c{self._made}", request)
        self.held[made.id] = made
        return {"Id": made.id}

    def start(self, container: str) -> None:
        found = self._find(container)
        self.runs += 1
        found.status, found.started = "running", _text(trio.current_time())
        found.end = trio.current_time() + self.seconds
        found.open_ended = self.animate(found)

    def inspect_container(self, container: str) -> dict[str, Any]:
        return self._find(container).inspected()

    def wait(self, container: str, **_: object) -> None:
        found = self._find(container)
        if found.status == "running":
            raise Blocking(trio.current_time() + _LOOK if found.open_ended else found.end)

    def kill(self, container: str) -> None:
        found = self._find(container)
        if found.status != "running":
            _refuse(409, f"container {container} is not running")
        found.exit_code = _KILLED
        found.stop(trio.current_time())

    def remove_container(self, container: str, **_: object) -> None:
        del self.held[self._find(container).id]

    def containers(self, *, filters: dict[str, list[str]], **_: object) -> list[dict[str, str]]:
        wanted = [tuple(label.split("=", 1)) for label in filters["label"]]
        return [
            {"Id": c.id}
            for c in self.held.values()
            if all(c.request["labels"].get(key) == value for key, value in wanted)
        ]

    def get(self, url: str, **_: object) -> Any:  # noqa: ANN401 - a response of requests
        assert url.endswith("/logs"), url
        answer: Any = requests.Response()
        answer.status_code = 200
        answer.raw = io.BytesIO(b"\x01\x00\x00\x00\x00\x00\x00\x02hi")
        return answer

    def _find(self, container: str) -> Container:
        self.settle()
        for known in self.held.values():
            if container in (known.id, known.request["name"]):
                return known
        raise docker.errors.NotFound(f"no such container: {container}")


class Messages(list[dict[str, str]]):
    """What a pull tells."""

    def close(self) -> None:
        """Nothing is open."""


@define(eq=False)
class Line:
    """What stands for `engine.client.Engine`: calls that block wait in Trio's time."""

    machine: Machine

    async def call(self, function: Callable[[Any], T]) -> T:
        """Do it, also when cancelled meanwhile: the engine does not know."""
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            return await self._until_done(function)
        finally:
            await trio.lowlevel.checkpoint()

    stream = call

    async def _until_done(self, function: Callable[[Any], T]) -> T:
        while True:
            breathe()
            try:
                return function(self.machine)
            except Blocking as blocking:
                await self._pass(blocking.until)
            except docker.errors.APIError as error:
                raise refusal(error) from error

    async def _pass(self, until: float) -> None:
        try:
            await trio.sleep_until(until)
        except trio.Cancelled:
            self.machine.hang_up()
            raise


def _refuse(status: int, text: str) -> NoReturn:
    answer = requests.Response()
    answer.status_code = status
    raise docker.errors.APIError(text, response=answer, explanation=text)


def _text(at: float) -> str:
    return datetime.fromtimestamp(EPOCH + at, UTC).isoformat()
