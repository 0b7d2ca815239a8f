"""What only trusted tasks meet: an SMS, enclaves that sign and call, and no hardware."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx
import trio
from attrs import define, field, frozen

from iexec_worker.chain import commitments
from iexec_worker.model import ComputedFile, TeeFramework
from iexec_worker.tee.model import Service, Services, TeeState
from tests.chaos.contracts import ENCLAVE, TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.tee.framework import OpenSession
    from iexec_worker.tee.model import Part
    from iexec_worker.tee.sms import Sms
    from tests.chaos.machine import Container, Machine
    from tests.chaos.mortal import Mortal
    from tests.chaos.proxy import Proxy

SMS_URL: Final = "http://sms.test"
PRE, POST = "registry.test/pre:1", "registry.test/post:1"

#: Seconds that a post-compute takes before it calls.
SIGNING: Final = 4.0

#: Between two looks whether the worker is still there to answer.
_LOOK: Final = 0.5


@define(eq=False)
class SecretService:
    """The SMS, as the pool (`devpool.scheduler.ports.SecretManagement`) and the worker see it."""

    secrets: set[str] = field(factory=set)
    sessions: int = 0

    async def url(self, framework: TeeFramework) -> str | None:
        return SMS_URL

    async def challenge(self, url: str, task_id: str) -> str | None:
        return ENCLAVE.address

    async def tell_proxy(self, url: str, proxy: str) -> None:
        """It has no use for it."""

    def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Serve one request of the worker."""
        match request.method, request.url.path:
            case "GET", "/tee/framework":
                return httpx.Response(200, json="SCONE")
            case "HEAD", "/secrets/web2":
                return httpx.Response(204 if request.url.query.decode() in self.secrets else 404)
            case (("PUT" | "POST"), "/secrets/web2"):
                self.secrets.add(request.url.query.decode())
                return httpx.Response(204)
            case "POST", "/tee/sessions" if self.secrets and json.loads(body):
                self.sessions += 1
                session = {"sessionId": f"s{self.sessions}", "secretProvisioningUrl": "cas:1"}
                return httpx.Response(200, json={"data": session})
        return httpx.Response(500)


@define(eq=False)
class Call:
    """A post-compute that waits for the worker's answer."""

    file: ComputedFile
    taken: bool = False
    done: trio.Event = field(factory=trio.Event)


@frozen
class Door:
    """Where the worker of *life* is called."""

    life: Mortal
    calls: trio.MemorySendChannel[Call]


@define(eq=False)
class Enclaves:
    """
    Post-computes that run.

    They store what they signed at the result proxy. Unlike the real ones they can do so twice: a
    crash between what they stored and what the worker wrote down is not the worker's to mend.
    """

    machine: Machine
    proxy: Proxy
    place: Callable[[str], Path]
    wallet: str
    door: Door | None = None

    async def post_compute(self, container: Container) -> None:
        """Be *container*: sign, store, call, exit."""
        await trio.sleep(SIGNING)
        if container.status != "running" or container.id not in self.machine.held:
            return
        file = self._signed(container)
        taken = False
        if file is not None:
            self.proxy.keep()
            taken = await self._call(file)
        if container.status == "running":
            container.exit_code = 0 if taken else 1
            container.stop(trio.current_time())

    def _signed(self, container: Container) -> ComputedFile | None:
        mounts = container.request["host_config"]["mounts"]
        out = self.place(next(m["Source"] for m in mounts if m["Target"] == "/iexec_out"))
        if not (out / "computed.json").exists():
            return None
        path = json.loads((out / "computed.json").read_text())["deterministic-output-path"]
        content = (out / path.removeprefix("/iexec_out/")).read_bytes()
        digest = "0x" + hashlib.sha256(content).hexdigest()
        signed = commitments.enclave_hash(self.wallet, TASK, digest)
        return ComputedFile(path, "", digest, ENCLAVE.sign_prefixed(signed))

    def _is_closed(self, door: Door) -> bool:
        return door.life.dead or self.door is not door

    async def _call(self, file: ComputedFile) -> bool:
        """Call the worker; False when it does not take it, is not there, or goes away."""
        door = self.door
        if door is None or door.life.dead:
            return False
        call = Call(file)
        try:
            door.calls.send_nowait(call)
        except trio.BrokenResourceError:
            return False
        while not call.done.is_set():
            if self._is_closed(door):
                return False
            with trio.move_on_after(_LOOK):
                await call.done.wait()
        return call.taken


class NoHardware:
    """A framework that asks the SMS and adds a variable."""

    async def prepare(
        self,
        task: object,
        sms: Sms,
        folder: Path,
        open_session: OpenSession,
        show: Callable[[str], None],
    ) -> TeeState:
        show(f"asking {await sms.framework()}")
        return TeeState(Services(Service(PRE), Service(POST)), await open_session())

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        await trio.lowlevel.checkpoint()
        return attrs.evolve(spec, env={"SESSION": f"{state.session.session_id}/{part}"})

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


class NoNetwork:
    """What stands for `engine.networks.trusted.TrustedNetwork`."""

    name = "net"

    async def ready(self) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        return {}


class Trust:
    """What stands for `app.enclaves.Enclaves`."""

    network = NoNetwork()

    @property
    def las(self) -> Trust:
        return self

    def names(self) -> frozenset[str]:
        return frozenset()

    def frameworks(self, _: object) -> Mapping[TeeFramework, NoHardware]:
        return {TeeFramework.SCONE: NoHardware()}


TRUST: Final[Any] = Trust()
