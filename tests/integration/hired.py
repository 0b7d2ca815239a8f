"""Workers as operators run them, in processes of their own, and what they leave."""

from __future__ import annotations

import json
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import docker
import trio
from attrs import define, field, frozen

from iexec_worker.devpool import wallets
from iexec_worker.devpool.worker_process import WorkerProcess, worker_process
from tests.backstage import Held, keep
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx

    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.wallets import Wallet

_AS_USUAL: Final[Mapping[str, str]] = MappingProxyType({})

#: Seconds in which a worker has tidied up after a task that has ended.
_TIDY: Final = 5.0


def read_events(log: Path) -> list[dict[str, Any]]:
    """The events in *log*; what a crash cut off is none."""
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


def containers_named(engine_url: str, begin: str) -> list[str]:
    """Names of the containers on the engine, running or not, that begin so."""
    client = docker.DockerClient(base_url=engine_url, timeout=20)
    try:
        found = client.api.containers(all=True, filters={"name": f"^/{begin}"})
    finally:
        client.close()
    return [name.lstrip("/") for one in found for name in one["Names"]]


@frozen
class Place:
    """Where a worker is at home: started here again, it is the same worker."""

    name: str
    folder: Path
    wallet: Wallet
    environment: Mapping[str, str]

    @property
    def tasks(self) -> Path:
        """The folders of its tasks."""
        return self.folder / "tasks" / self.name

    def task_folders(self) -> set[str]:
        """Names of the task folders that are there now."""
        return {path.name for path in self.tasks.iterdir()} if self.tasks.is_dir() else set()

    def containers(self, engine_url: str, task_id: str = "") -> list[str]:
        """Names of the containers on the engine, running or not, of one task or of all."""
        return containers_named(engine_url, f"{self.name}-{task_id}")


@define(eq=False)
class Hired:
    """A worker that a test has started. Unless *expendable*, it has to be alive in the end."""

    place: Place
    process: WorkerProcess
    engine_url: str
    _held: Held[WorkerProcess]
    expendable: bool = False

    @property
    def wallet(self) -> str:
        """Its address, as the pool knows it."""
        return self.place.wallet.address

    @property
    def log(self) -> Path:
        """What it logged."""
        return self.process.child.log

    def events(self) -> list[dict[str, Any]]:
        """The events it has logged so far."""
        return read_events(self.log)

    def story(self, lines: int, task_id: str | None = None) -> str:
        """Its last events for people; with *task_id* without those of other tasks."""
        events = [e for e in self.events() if task_id is None or e.get("task") in (None, task_id)]
        return "\n".join(map(_line, events[-lines:]))

    def errors(self) -> list[dict[str, Any]]:
        """Its events at level error or above."""
        return [e for e in self.events() if e["level"] in ("error", "critical")]

    async def get(self, path: str) -> httpx.Response:
        """What its HTTP server answers to *path*."""
        return await self.process.client.get(self.process.url + path)

    async def ready(self) -> None:
        """Wait until it takes work."""
        await until(self.process.ready, limit=30)

    async def registered(self, pool: Pool) -> None:
        """Wait until the pool knows it."""
        await pool.scheduler.registered([self.wallet])

    def task_folders(self) -> set[str]:
        """Names of the task folders it keeps now."""
        return self.place.task_folders()

    def containers(self, task_id: str = "") -> list[str]:
        """Names of its containers on the engine, running or not, of one task or of all."""
        return self.place.containers(self.engine_url, task_id)

    async def tidy(self, *task_ids: str) -> None:
        """Wait until nothing is left of these tasks (none given: of all) on disk and engine."""

        async def clean() -> bool:
            left = self.task_folders()
            if left & set(task_ids) if task_ids else left:
                return False
            names = [await trio.to_thread.run_sync(self.containers, t) for t in task_ids or [""]]
            return not any(names)

        try:
            await until(clean, limit=_TIDY)
        except trio.TooSlowError:
            left = sorted(self.task_folders())
            raise AssertionError(f"left: folders {left}, containers {self.containers()}") from None

    def kill(self) -> None:
        """End it as a power cut does."""
        self.expendable = True
        self.process.child.process.kill()

    async def stop(self) -> None:
        """End it as Ctrl-C does; returns when it has ended."""
        self.expendable = True
        await self._held.release()

    async def dismiss(self) -> None:
        """End it if it is still there."""
        await self._held.release()


@define(eq=False)
class Agency:
    """Starts workers of one pool, each in a task of *nursery* until it is dismissed."""

    pool: Pool
    folder: Path
    engine_url: str
    inherited: Mapping[str, str]
    nursery: trio.Nursery
    hired: list[Hired] = field(factory=list)

    async def start(
        self,
        environment: Mapping[str, str] = _AS_USUAL,
        *,
        slots: int = 1,
        again: Place | None = None,
    ) -> Hired:
        """
        Start a worker with *environment* beside what it needs; *again*: at the place of another.

        It serves HTTP then, and need not be registered yet. Its stake and gas are plenty.
        """
        place = again or await self.place(slots, environment)
        log = place.folder / f"life-{len(self.hired)}"
        manager = worker_process(
            log, place.name, {**place.environment, **environment}, inherited=self.inherited
        )
        held: Held[WorkerProcess] = await self.nursery.start(keep, manager)
        worker = Hired(place, held.value, self.engine_url, held)
        self.hired.append(worker)
        return worker

    async def place(self, slots: int, environment: Mapping[str, str]) -> Place:
        """Make a home for a worker: a name, a folder and a wallet that nobody else has."""
        name = environment.get("IEXEC_WORKER_NAME") or f"worker-{secrets.token_hex(3)}"
        folder = self.folder / name
        wallet = await wallets.make(folder, "wallet")
        await wallets.fund(self.pool.market, wallet)
        needed = {
            **self.pool.environment(wallet.path, wallet.password),
            "DOCKER_HOST": self.engine_url,
            "IEXEC_WORKER_NAME": name,
            "IEXEC_WORKER_BASE_DIR": str(folder / "tasks"),
            "IEXEC_WORKER_LOG_FORMAT": "json",
            "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": str(slots),
        }
        return Place(name, folder, wallet, {**needed, **environment})

    async def check(self, *, errors_expected: bool = False) -> None:
        """Assert what must hold at the end of every test, of every worker that was started."""
        for worker in self.hired:
            if worker.expendable:
                continue
            assert worker.process.ended is None, "the worker has ended"
            await worker.tidy()
        if not errors_expected:
            errors = [event for worker in self.hired for event in worker.errors()]
            assert not errors, f"the worker logged errors: {errors}"


def _line(event: dict[str, Any]) -> str:
    rest = {k: v for k, v in event.items() if k not in ("timestamp", "level", "event", "exception")}
    said = " ".join(f"{key}={value}" for key, value in rest.items())
    line = f"{event['timestamp'][11:23]} {event['level']:<7} {event['event']} {said}"
    return "\n".join([line, *event.get("exception", "").splitlines()])
