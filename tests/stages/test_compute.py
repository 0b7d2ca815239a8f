"""Computing: what each end is told as, and that a second run finds nothing of the first."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from attrs import define, field, frozen

from iexec_worker.engine.state import ContainerExit, FoundContainer
from iexec_worker.errors import EngineRefused, StageFailed
from iexec_worker.model import ComputeLogs
from iexec_worker.stages.compute import Compute
from iexec_worker.stages.running.app import AppRun
from iexec_worker.stages.running.container import Running
from iexec_worker.stages.running.developer_log import DeveloperLog
from iexec_worker.telemetry.durations import Durations
from iexec_worker.wire import Cause
from tests.samples import TASK, WALLET
from tests.stages.conftest import FakePostCompute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping
    from pathlib import Path
    from typing import BinaryIO

    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task

NO_RESULT = StageFailed(Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED, "no computed.json")


def exited(code: int, *, timed_out: bool = False) -> ContainerExit:
    return ContainerExit(code, 1.0, 3.0, 2000.0, oom_killed=False, timed_out=timed_out)


@define(eq=False)
class FakeEngine:
    """Images and containers at once; *end* is how the app ends, *ends* by container."""

    end: ContainerExit = field(factory=lambda: exited(0))
    ends: dict[str, ContainerExit] = field(factory=dict)
    found: FoundContainer | None = None
    image: str | None = "sha256:1"
    error: Exception | None = None
    started: list[ContainerSpec] = field(factory=list)
    waited: list[str] = field(factory=list)
    held_now: int = 0

    async def find(self, name: str) -> Any:  # noqa: ANN401 - an image's id or a container
        await trio.lowlevel.checkpoint()
        return self.found if name.endswith(TASK) else self.image

    @asynccontextmanager
    async def held(self, name: str, *, keep: Callable[[], bool]) -> AsyncIterator[None]:
        self.held_now += 1
        try:
            yield
        finally:
            self.held_now -= 1

    async def start(self, spec: ContainerSpec) -> str:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.started.append(spec)
        return "new"

    async def wait(self, container: str, *, limit: float) -> ContainerExit:
        await trio.lowlevel.checkpoint()
        self.waited.append(container)
        return self.ends.get(container, self.end)

    async def logs(self, container: str, *, stdout: BinaryIO, stderr: BinaryIO) -> ComputeLogs:
        await trio.lowlevel.checkpoint()
        stdout.write(b"said")
        return ComputeLogs("said", "")


@define(eq=False)
class FakeSandbox:
    """Confines nothing, and says that the log is *whole*."""

    whole: bool = True

    async def start(self, containers: FakeEngine, spec: ContainerSpec) -> str:
        return await containers.start(spec)

    def quota(self, containers: FakeEngine, container: str, *_: Path) -> Any:  # noqa: ANN401
        return FakeQuota(containers, container, self.whole)

    def memory_limit(self) -> str:
        return "2 GB"


@frozen
class FakeQuota:
    engine: FakeEngine
    container: str
    whole: bool

    async def wait(self, limit: float) -> ContainerExit:
        return await self.engine.wait(self.container, limit=limit)

    async def log_is_whole(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self.whole


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def post_compute() -> FakePostCompute:
    return FakePostCompute()


@pytest.fixture
def durations() -> Durations:
    return Durations(10)


@pytest.fixture
def sandbox() -> FakeSandbox:
    return FakeSandbox()


@pytest.fixture
def ends() -> list[str]:
    return []


@pytest.fixture
def compute(
    *,
    conditions: Conditions,
    engine: FakeEngine,
    post_compute: FakePostCompute,
    durations: Durations,
    sandbox: FakeSandbox,
    ends: list[str],
) -> Compute:
    edges: Any = engine
    after: Any = post_compute
    box: Any = sandbox
    log = DeveloperLog(enabled=True)
    running = Running(edges, box, lambda: False)
    app = AppRun(edges, running, log, ends.append)
    return Compute(conditions, app, after, durations, "w", WALLET, gpus=False)


async def failure(compute: Compute, task: Task) -> StageFailed:
    with pytest.raises(StageFailed) as caught:
        await compute(task)
    return caught.value


async def test_a_success_tells_exit_code_and_logs_and_keeps_what_was_printed(
    compute: Compute, engine: FakeEngine, durations: Durations, task: Task
) -> None:
    details = await compute(task)
    assert (details.exit_code, details.compute_logs) == (0, ComputeLogs("said", ""))
    assert (task.folder.iexec_out / "stdout.txt").read_text() == "said"
    assert not (task.folder.iexec_out / "stderr.txt").exists()
    assert (durations.app.stats().average, engine.held_now) == (2000.0, 0)


async def test_an_app_that_failed_but_left_a_result_is_computed(
    compute: Compute, engine: FakeEngine, task: Task
) -> None:
    engine.end = exited(3)
    assert (await compute(task)).exit_code == 3


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (exited(3), Cause.APP_COMPUTE_FAILED),
        (exited(-1, timed_out=True), Cause.APP_COMPUTE_TIMEOUT),
        (exited(0), Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED),
    ],
)
async def test_without_a_result_the_first_cause_is_told(
    compute: Compute, engine: FakeEngine, task: Task, end: ContainerExit, cause: Cause
) -> None:
    after: Any = compute.post_compute
    engine.end, after.error = end, NO_RESULT
    failed = await failure(compute, task)
    assert (failed.cause, failed.exit_code, failed.stdout) == (cause, end.exit_code, "said")


@pytest.mark.parametrize(
    ("end", "word", "told"),
    [
        (attrs.evolve(exited(137), oom_killed=True), "oom", "memory used up, it has 2 GB"),
        (attrs.evolve(exited(137), over_quota="it wrote a lot"), "quota", "it wrote a lot"),
        (exited(137), "failure", None),
        # The engine also says so when only a child of the app was killed.
        (attrs.evolve(exited(0), oom_killed=True), "success", None),
    ],
)
async def test_a_limit_that_ended_the_app_is_told_apart(
    *,
    compute: Compute,
    engine: FakeEngine,
    task: Task,
    ends: list[str],
    log_events: list[MutableMapping[str, Any]],
    end: ContainerExit,
    word: str,
    told: str | None,
) -> None:
    after: Any = compute.post_compute
    engine.end, after.error = end, NO_RESULT
    failed = await failure(compute, task)

    assert (ends, failed.exit_code) == ([word], end.exit_code)
    stopped = [event["detail"] for event in log_events if event["event"] == "app stopped"]
    if told is None:
        assert (stopped, failed.stderr) == ([], "")
    else:
        assert failed.cause is Cause.APP_COMPUTE_FAILED
        assert told in failed.stderr
        assert told in stopped[0]


async def test_nothing_is_made_of_what_exceeds_the_quota(
    compute: Compute, engine: FakeEngine, post_compute: FakePostCompute, task: Task
) -> None:
    engine.end = attrs.evolve(exited(0), over_quota="it wrote a lot")
    await failure(compute, task)
    assert post_compute.seen == []


async def test_a_log_that_lost_its_beginning_is_told_of(
    compute: Compute,
    sandbox: FakeSandbox,
    task: Task,
    log_events: list[MutableMapping[str, Any]],
) -> None:
    sandbox.whole = False
    await compute(task)
    assert [e for e in log_events if "log is lost" in e["event"]]


async def test_a_container_that_cannot_run_has_exit_code_minus_one(
    compute: Compute, engine: FakeEngine, task: Task
) -> None:
    engine.error = EngineRefused("exec: not found")
    failed = await failure(compute, task)
    assert (failed.cause, failed.exit_code) == (Cause.APP_COMPUTE_FAILED, -1)


async def test_an_image_that_is_gone_is_not_run(
    compute: Compute, engine: FakeEngine, task: Task
) -> None:
    engine.image = None
    assert (await failure(compute, task)).cause is Cause.APP_NOT_FOUND_LOCALLY
    assert engine.started == []


async def test_a_second_run_finds_nothing_of_the_first(
    compute: Compute, post_compute: FakePostCompute, task: Task
) -> None:
    folder = task.folder.iexec_out / "left"
    folder.mkdir(parents=True)
    (folder / "half a result").touch()
    (task.folder.iexec_out / "computed.json").touch()
    await compute(task)
    assert post_compute.seen == ["stdout.txt"]


@pytest.mark.parametrize("state", ["running", "exited"])
async def test_an_app_that_an_earlier_life_began_is_met_again_with_its_files(
    compute: Compute, engine: FakeEngine, post_compute: FakePostCompute, task: Task, state: str
) -> None:
    engine.found = FoundContainer("old", f"w-{TASK}", "app:1", state, 0.0, {})
    task.folder.iexec_out.mkdir(parents=True)
    (task.folder.iexec_out / "result").touch()
    await compute(task)
    assert (engine.started, set(engine.waited), engine.held_now) == ([], {"old"}, 0)
    assert "result" in post_compute.seen


@pytest.mark.parametrize(
    ("state", "code"), [("exited", 137), ("exited", 143), ("created", 0), ("dead", 0)]
)
async def test_an_app_that_was_killed_or_never_began_runs_again(
    compute: Compute, engine: FakeEngine, task: Task, state: str, code: int
) -> None:
    engine.found = FoundContainer("old", f"w-{TASK}", "app:1", state, 0.0, {})
    engine.ends["old"] = exited(code)
    details = await compute(task)
    assert (len(engine.started), details.exit_code) == (1, 0)


async def test_the_developer_sees_what_the_app_saw_left_and_printed(
    compute: Compute, task: Task, log_events: list[MutableMapping[str, Any]]
) -> None:
    task.folder.input.mkdir(parents=True)
    (task.folder.input / "data").touch()
    await compute(task)
    (run,) = [event for event in log_events if event["event"] == "app has run"]
    assert (run["input"], run["output"], run["stdout"]) == ("data", "stdout.txt", "said")
