"""Trusted tasks: three containers, what they tell, and what a next life makes of what is left."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
from attrs import define, field

from iexec_worker.engine import labels
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.engine.state import ContainerExit, FoundContainer
from iexec_worker.errors import EngineRefused, PullFailed, StageFailed
from iexec_worker.model import ComputedFile, ComputeLogs, DealParams, TeeFramework
from iexec_worker.stages.download_app import DownloadApp
from iexec_worker.stages.fallback import Fallback
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.stages.running.app import AppRun
from iexec_worker.stages.running.container import Running
from iexec_worker.stages.running.developer_log import DeveloperLog
from iexec_worker.stages.trusted.compute import ComputeTrusted
from iexec_worker.stages.trusted.reports import Reports
from iexec_worker.stages.trusted.services import TrustedServices
from iexec_worker.stages.trusted.specs import TrustedSpecs
from iexec_worker.tee.model import Part, Service, Services, TeeSession, TeeState
from iexec_worker.telemetry.durations import Durations
from iexec_worker.wire import Cause
from tests import samples
from tests.samples import SCONE, TASK, WALLET
from tests.stages.conftest import DIGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
    from pathlib import Path

    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task
    from tests.stages.conftest import FakeChain

FILE: Final = ComputedFile("/iexec_out/a", "", DIGEST, "0x" + 130 * "1")
STATE: Final = TeeState(
    Services(Service("pre:1"), Service("post:1"), las_image="las:1"), TeeSession("id", "cas:1")
)
NAMES: Final = {
    f"w-{TASK}": Part.APP,
    f"w-{TASK}-tee-pre-compute": Part.PRE,
    f"w-{TASK}-tee-post-compute": Part.POST,
}
PRE_ISSUE = Cause.PRE_COMPUTE_FAILED_UNKNOWN_ISSUE
POST_ISSUE = Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE


def exited(code: int, **changes: Any) -> ContainerExit:  # noqa: ANN401 - any field
    ended = ContainerExit(code, 1.0, 3.0, 2000.0, oom_killed=False, timed_out=False)
    return attrs.evolve(ended, **changes)


async def silent() -> None:
    await trio.lowlevel.checkpoint()


@define(eq=False)
class FakeEngine:
    """
    Containers by their part.

    Each ends as *ends* says, after it *does* what it does. *left* are those of an earlier life,
    *history* what happened, in order.
    """

    ends: dict[Part, ContainerExit] = field(factory=dict)
    does: dict[Part, Callable[[], Awaitable[None]]] = field(factory=dict)
    left: dict[Part, FoundContainer] = field(factory=dict)
    refuses: set[Part] = field(factory=set)
    specs: dict[Part, ContainerSpec] = field(factory=dict)
    history: list[str] = field(factory=list)
    held_now: set[Part] = field(factory=set)
    #: Containers that were to go on when the worker stopped.
    kept: set[Part] = field(factory=set)

    def leave(self, part: Part, state: str, code: int = 0) -> None:
        """Leave the container that an earlier life had begun."""
        self.left[part] = FoundContainer(f"old {part}", "", "", state, 0.0, {})
        self.ends[part] = exited(code)

    async def find(self, name: str) -> FoundContainer | None:
        await trio.lowlevel.checkpoint()
        return self.left.get(NAMES[name])

    @asynccontextmanager
    async def held(self, name: str, *, keep: Callable[[], bool]) -> AsyncIterator[None]:
        part = NAMES[name]
        self.held_now.add(part)
        try:
            yield
        finally:
            self.held_now.discard(part)
            if keep():
                self.kept.add(part)

    async def remove(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.left.pop(NAMES[name], None):
            self.history.append(f"removed {NAMES[name]}")

    async def start(self, spec: ContainerSpec) -> str:
        await trio.lowlevel.checkpoint()
        part = NAMES[spec.name]
        if part in self.refuses:
            raise EngineRefused("no such device")
        self.history.append(f"started {part}")
        self.specs[part] = spec
        if part in self.left:
            # A run in place of one that was left ends well.
            del self.left[part], self.ends[part]
        return f"new {part}"

    async def wait(self, container: str, *, limit: float) -> ContainerExit:
        part = Part(container.partition(" ")[2])
        looked_at = part in self.left and not self.left[part].running
        if not looked_at and part in self.does:
            await self.does[part]()
        await trio.lowlevel.checkpoint()
        return self.ends.get(part, exited(0))

    async def logs(self, container: str, **_: object) -> ComputeLogs:
        await trio.lowlevel.checkpoint()
        return ComputeLogs(f"said by {container}", "")


@define(eq=False)
class Box:
    """What stands for the sandbox."""

    engine: FakeEngine

    async def start(self, _: object, spec: ContainerSpec) -> str:
        return await self.engine.start(spec)

    def quota(self, _: object, container: str, *__: Path) -> Quota:
        return Quota(self.engine, container)

    def memory_limit(self) -> str:
        return "2 GB"


@define(eq=False)
class Quota:
    engine: FakeEngine
    container: str

    async def wait(self, limit: float) -> ContainerExit:
        return await self.engine.wait(self.container, limit=limit)

    async def log_is_whole(self) -> bool:
        await trio.lowlevel.checkpoint()
        return True


@define(eq=False)
class FakeImages:
    here: set[str] = field(factory=lambda: {"app:1", "pre:1", "post:1"})

    async def find(self, image: str) -> str | None:
        await trio.lowlevel.checkpoint()
        return image if image in self.here else None

    async def pull(self, image: str, **_: object) -> None:
        await trio.lowlevel.checkpoint()
        if image not in self.here:
            raise PullFailed("unknown")


@define(eq=False)
class FakeFramework:
    """Adds a variable that names the part; *error* is what it ends in."""

    error: Exception | None = None

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return attrs.evolve(spec, env={"PART": part.value, "CAS": state.session.url})


class FakeNetwork:
    name = "net"

    async def ready(self) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        return {"worker": "172.9.0.1"}


@define(eq=False)
class World:
    """A trusted task on a machine of fakes."""

    task: Task
    conditions: Conditions
    reports: Reports
    engine: FakeEngine = field(factory=FakeEngine)
    images: FakeImages = field(factory=FakeImages)
    framework: FakeFramework = field(factory=FakeFramework)
    durations: Durations = field(factory=lambda: Durations(10))
    app_ends: list[str] = field(factory=list)
    stops: bool = False

    def describe(self, **changes: Any) -> None:  # noqa: ANN401 - any field
        self.task.describe_as(samples.description(tag=SCONE, **changes))

    def has_input(self) -> None:
        self.describe(params=DealParams(storage_provider="ipfs", input_files=("http://a/1",)))

    def leaves(self, part: Part, state: str, code: int = 0) -> None:
        """Have an earlier life leave the container *part*, and the folders of its task."""
        self.task.folder.iexec_out.mkdir(parents=True, exist_ok=True)
        self.engine.leave(part, state, code)

    def tells(self, part: Part, *causes: Cause) -> None:
        """Have *part* report these causes and exit 1."""

        async def tell() -> None:
            assert await self.reports.exit(part, causes)

        self.engine.does[part] = tell
        self.engine.ends[part] = exited(1)

    async def sends(self) -> None:
        """What a post-compute does that succeeds."""
        assert await self.reports.computed(FILE)

    @property
    def services(self) -> TrustedServices:
        network: Any = FakeNetwork()
        framework: Any = self.framework
        images: Any = self.images
        box: Any = Box(self.engine)
        containers: Any = self.engine
        frameworks = {TeeFramework.SCONE: framework}
        specs = TrustedSpecs(frameworks, network, "w", WALLET, gpus=True)
        running = Running(containers, box, lambda: self.stops)
        return TrustedServices(specs, images, running, DeveloperLog(enabled=True))

    @property
    def compute(self) -> ComputeTrusted:
        services = self.services
        app = AppRun(
            services.images, services.running, services.developer_log, self.app_ends.append
        )
        return ComputeTrusted(self.conditions, app, services.specs, services, self.durations)

    async def failure(self) -> StageFailed:
        with pytest.raises(StageFailed) as caught:
            await self.compute(self.task)
        return caught.value


@pytest.fixture
def world(conditions: Conditions, chain: FakeChain, task: Task) -> World:
    blocks: Any = chain
    # A task that its worker ends needs none.
    chain.stake = 0
    task.record.tee = STATE
    world = World(task, conditions, Reports(task, conditions, blocks))
    world.describe()
    world.engine.does[Part.POST] = world.sends
    return world


async def test_without_input_app_and_post_compute_run_and_the_result_is_what_was_sent(
    world: World,
) -> None:
    details = await world.compute(world.task)
    assert details.exit_code == 0
    assert details.compute_logs == ComputeLogs("said by new app", "")
    assert world.engine.history == ["started app", "started post-compute"]
    assert world.task.record.computed == FILE
    assert (world.engine.held_now, world.app_ends) == (set(), ["success"])


@pytest.mark.parametrize(
    "given",
    [
        {"params": DealParams(input_files=("http://a/1",))},
        {"params": DealParams(bulk_cid="Qm")},
        {"dataset_address": "0x" + 40 * "d", "dataset_uri": "http://d"},
    ],
)
async def test_with_input_of_any_kind_pre_compute_runs_first(
    world: World, given: dict[str, Any]
) -> None:
    world.describe(**given)
    await world.compute(world.task)
    assert world.engine.history == ["started pre-compute", "started app", "started post-compute"]
    windows = world.durations
    assert [w.stats().average for w in (windows.pre, windows.app, windows.post)] == 3 * [2000]
    assert windows.complete.stats().average == 6000


async def test_every_container_gets_what_is_its(world: World) -> None:
    world.describe(
        params=DealParams(args='run "a b"', input_files=("http://a/1",), storage_provider="ipfs")
    )
    await world.compute(world.task)
    pre, app, post = (world.engine.specs[part] for part in Part)
    folder = world.task.folder

    assert [spec.image for spec in (pre, app, post)] == ["pre:1", "app:1", "post:1"]
    assert pre.binds == {str(folder.input): "/iexec_in"}
    assert app.binds == {str(folder.input): "/iexec_in", str(folder.iexec_out): "/iexec_out"}
    assert post.binds == {str(folder.iexec_out): "/iexec_out"}
    assert [spec.command for spec in (pre, app, post)] == [None, ("run", "a b"), None]
    assert [spec.gpus for spec in (pre, app, post)] == [False, True, False]
    assert [dict(spec.extra_hosts) for spec in (pre, app, post)] == [
        {"worker": "172.9.0.1"},
        {},
        {"worker": "172.9.0.1"},
    ]
    for spec, part in zip((pre, app, post), Part, strict=True):
        assert spec.network == "net"
        assert spec.labels == {labels.WALLET: WALLET, labels.TASK: TASK}
        assert spec.env == {"PART": part.value, "CAS": "cas:1"}


PRE_ENDS: Final = [
    (exited(2), Cause.PRE_COMPUTE_EXIT_REPORTING_FAILED),
    (exited(3), Cause.PRE_COMPUTE_TASK_ID_MISSING),
    (exited(1), PRE_ISSUE),
    (exited(4), PRE_ISSUE),
    (exited(137), PRE_ISSUE),
    (exited(-1, timed_out=True), Cause.PRE_COMPUTE_TIMEOUT),
    (exited(0, over_quota="it wrote a lot"), PRE_ISSUE),
]


@pytest.mark.parametrize(("end", "cause"), PRE_ENDS)
async def test_a_failed_pre_compute_stops_the_step(
    world: World, end: ContainerExit, cause: Cause
) -> None:
    world.has_input()
    world.engine.ends[Part.PRE] = end
    failed = await world.failure()
    assert (failed.cause, failed.exit_code) == (cause, None)
    assert world.engine.history == ["started pre-compute"]


@pytest.mark.parametrize(("end", "pre_cause"), PRE_ENDS)
async def test_a_failed_post_compute_has_the_same_causes(
    world: World, end: ContainerExit, pre_cause: Cause
) -> None:
    world.engine.does[Part.POST] = silent
    world.engine.ends[Part.POST] = end
    failed = await world.failure()
    assert failed.cause.value == pre_cause.value.replace("PRE_", "POST_")
    assert (failed.exit_code, failed.stdout) == (0, "said by new app")


async def test_what_pre_compute_reports_is_the_cause(world: World) -> None:
    world.has_input()
    world.tells(
        Part.PRE, Cause.PRE_COMPUTE_DATASET_KEY_MISSING, Cause.PRE_COMPUTE_DATASET_URL_MISSING
    )
    failed = await world.failure()
    assert failed.cause is Cause.PRE_COMPUTE_DATASET_KEY_MISSING
    assert "PRE_COMPUTE_DATASET_URL_MISSING" in failed.message


async def test_of_two_causes_of_post_compute_the_first_is_told(world: World) -> None:
    world.tells(
        Part.POST, Cause.POST_COMPUTE_ENCRYPTION_FAILED, Cause.POST_COMPUTE_IPFS_UPLOAD_FAILED
    )
    failed = await world.failure()
    assert failed.cause is Cause.POST_COMPUTE_ENCRYPTION_FAILED


async def test_a_post_compute_that_sends_nothing_has_failed(world: World) -> None:
    world.engine.does[Part.POST] = silent
    assert (await world.failure()).cause is Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED


@pytest.mark.parametrize("end", [exited(1), exited(2), exited(-1, timed_out=True)])
async def test_a_result_that_came_is_one_whatever_became_of_its_sender(
    world: World, end: ContainerExit
) -> None:
    world.engine.ends[Part.POST] = end
    assert (await world.compute(world.task)).exit_code == 0


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (exited(3), Cause.APP_COMPUTE_FAILED),
        (exited(-1, timed_out=True), Cause.APP_COMPUTE_TIMEOUT),
    ],
)
async def test_post_compute_runs_also_when_the_app_failed(
    world: World, end: ContainerExit, cause: Cause
) -> None:
    world.engine.ends[Part.APP] = end
    assert (await world.compute(world.task)).exit_code == end.exit_code

    world.task.record.computed = None
    world.tells(Part.POST, Cause.POST_COMPUTE_COMPUTED_FILE_NOT_FOUND)
    failed = await world.failure()
    assert (failed.cause, failed.exit_code) == (cause, end.exit_code)


async def test_an_app_that_cannot_be_run_has_no_post_compute(world: World) -> None:
    world.engine.refuses.add(Part.APP)
    failed = await world.failure()
    assert (failed.cause, failed.exit_code) == (Cause.APP_COMPUTE_FAILED, -1)
    assert world.engine.history == []


@pytest.mark.parametrize(
    ("part", "image", "missing", "refused"),
    [
        (Part.PRE, "pre:1", Cause.PRE_COMPUTE_IMAGE_MISSING, PRE_ISSUE),
        (Part.POST, "post:1", Cause.POST_COMPUTE_IMAGE_MISSING, POST_ISSUE),
    ],
)
async def test_a_service_that_cannot_be_run_says_why(
    world: World, part: Part, image: str, missing: Cause, refused: Cause
) -> None:
    world.has_input()
    world.engine.refuses.add(part)
    assert (await world.failure()).cause is refused
    world.images.here.remove(image)
    assert (await world.failure()).cause is missing


async def test_an_app_s_image_that_is_gone_is_not_run(world: World) -> None:
    world.images.here.remove("app:1")
    assert (await world.failure()).cause is Cause.APP_NOT_FOUND_LOCALLY


async def test_what_enclaves_share_and_does_not_run_is_a_cause(world: World) -> None:
    world.framework.error = StageFailed(Cause.TEE_PREPARATION_FAILED, "no LAS")
    assert (await world.failure()).cause is Cause.TEE_PREPARATION_FAILED


async def test_a_session_that_is_lost_cannot_be_computed_in(world: World) -> None:
    world.task.record.tee = None
    assert (await world.failure()).cause is Cause.TEE_PREPARATION_FAILED


@pytest.mark.parametrize("state", ["running", "exited"])
async def test_an_app_that_was_begun_is_met_again_and_needs_no_second_pre_compute(
    world: World, state: str
) -> None:
    world.has_input()
    world.leaves(Part.APP, state, 3)
    details = await world.compute(world.task)
    assert (details.exit_code, world.engine.history) == (3, ["started post-compute"])


@pytest.mark.parametrize("state", ["running", "exited"])
async def test_a_pre_compute_that_was_begun_is_met_again(world: World, state: str) -> None:
    world.has_input()
    world.leaves(Part.PRE, state)
    await world.compute(world.task)
    assert world.engine.history == ["started app", "started post-compute"]


async def test_a_post_compute_that_runs_is_met_again(world: World) -> None:
    world.leaves(Part.APP, "exited")
    world.leaves(Part.POST, "running")
    details = await world.compute(world.task)
    assert (details.exit_code, world.engine.history) == (0, [])
    assert world.task.record.computed == FILE


@pytest.mark.parametrize("code", [1, 2, 137])
async def test_a_post_compute_that_failed_while_nobody_was_there_runs_again(
    world: World, code: int
) -> None:
    world.leaves(Part.APP, "exited")
    world.leaves(Part.POST, "exited", code)
    await world.compute(world.task)
    assert world.engine.history == ["started post-compute"]
    assert world.task.record.computed == FILE


async def test_a_post_compute_that_was_heard_to_fail_does_not_run_again(world: World) -> None:
    world.leaves(Part.APP, "exited")
    world.leaves(Part.POST, "exited", 1)
    world.task.record.exit_causes = {"post": [Cause.POST_COMPUTE_ENCRYPTION_FAILED]}
    failed = await world.failure()
    assert failed.cause is Cause.POST_COMPUTE_ENCRYPTION_FAILED
    assert world.engine.history == []


async def test_a_result_that_came_before_a_crash_is_not_made_again(world: World) -> None:
    world.task.record.computed = FILE
    world.leaves(Part.APP, "exited", 3)
    world.leaves(Part.POST, "exited")
    details = await world.compute(world.task)
    assert (details.exit_code, world.engine.history) == (3, ["removed post-compute"])


async def test_a_result_without_the_app_s_container_is_one_too(world: World) -> None:
    world.has_input()
    world.task.record.computed = FILE
    details = await world.compute(world.task)
    assert (details.exit_code, world.engine.history) == (None, [])


async def test_an_app_that_runs_again_is_read_by_no_earlier_post_compute(world: World) -> None:
    world.has_input()
    world.leaves(Part.APP, "exited", 137)
    world.leaves(Part.POST, "running")
    await world.compute(world.task)
    assert world.engine.history == [
        "removed post-compute",
        "started pre-compute",
        "started app",
        "started post-compute",
    ]


async def test_a_second_run_hears_causes_of_its_own(world: World) -> None:
    world.has_input()
    world.task.record.exit_causes = {"pre": [Cause.PRE_COMPUTE_TIMEOUT]}
    world.tells(Part.PRE, Cause.PRE_COMPUTE_DATASET_KEY_MISSING)
    assert (await world.failure()).cause is Cause.PRE_COMPUTE_DATASET_KEY_MISSING


async def test_input_and_output_of_an_earlier_run_are_gone(world: World) -> None:
    world.has_input()
    folder = world.task.folder
    seen: dict[str, list[str]] = {}
    for path in (folder.input, folder.iexec_out):
        path.mkdir(parents=True)
        (path / "left").touch()

    async def fetch() -> None:
        seen["in"] = [path.name for path in folder.input.iterdir()]
        (folder.input / "data").touch()
        await trio.lowlevel.checkpoint()

    async def app() -> None:
        seen["app"] = [path.name for path in (*folder.input.iterdir(), *folder.iexec_out.iterdir())]
        await trio.lowlevel.checkpoint()

    world.engine.does |= {Part.PRE: fetch, Part.APP: app}
    await world.compute(world.task)
    assert seen == {"in": [], "app": ["data"]}


async def test_the_app_s_container_is_there_until_post_compute_has_ended(world: World) -> None:
    held = []

    async def look() -> None:
        held.append(set(world.engine.held_now))
        await world.sends()

    world.engine.does[Part.POST] = look
    await world.compute(world.task)
    assert held == [{Part.APP, Part.POST}]


async def test_a_worker_that_stops_leaves_the_app_and_no_post_compute_that_nobody_would_hear(
    world: World,
) -> None:
    world.stops = True
    world.engine.does[Part.POST] = trio.sleep_forever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.compute, world.task)
        while Part.POST not in world.engine.held_now:  # noqa: ASYNC110 - containers set no event
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert world.engine.kept == {Part.APP}


async def test_the_developer_sees_every_run(
    world: World, log_events: list[MutableMapping[str, Any]]
) -> None:
    world.has_input()
    await world.compute(world.task)
    parts = [event["part"] for event in log_events if event["event"].endswith("has run")]
    assert parts == ["pre-compute", "app", "post-compute"]


def download_app(world: World) -> DownloadApp:
    images: Any = world.images
    fallback = Fallback(PostCompute(), "9.3.0", world.services, world.durations)
    return DownloadApp(world.conditions, images, fallback, 300, 1800, lambda _: None)


async def test_the_error_of_a_trusted_task_is_signed_by_its_post_compute(world: World) -> None:
    world.images.here.remove("app:1")
    seen = []

    async def sign() -> None:
        seen.append((world.task.folder.iexec_out / "error.txt").read_text())
        await world.sends()

    world.engine.does[Part.POST] = sign
    with pytest.raises(StageFailed) as caught:
        await download_app(world)(world.task)
    assert caught.value.cause is Cause.APP_IMAGE_DOWNLOAD_FAILED
    assert "APP_IMAGE_DOWNLOAD_FAILED" in seen[0]
    assert (world.task.record.computed, world.engine.history) == (FILE, ["started post-compute"])


async def test_an_error_that_nobody_signs_is_no_result(world: World) -> None:
    world.images.here.remove("app:1")
    world.tells(Part.POST, Cause.POST_COMPUTE_IPFS_UPLOAD_FAILED)
    with pytest.raises(StageFailed) as caught:
        await download_app(world)(world.task)
    assert caught.value.cause is Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE


async def test_a_task_that_was_to_end_with_its_error_ends_with_it_in_a_next_life(
    world: World,
) -> None:
    world.images.here.remove("app:1")
    with pytest.raises(StageFailed):
        await download_app(world)(world.task)
    world.images.here.add("app:1")
    with pytest.raises(StageFailed) as caught:
        await download_app(world)(world.task)
    assert caught.value.cause is Cause.APP_IMAGE_DOWNLOAD_FAILED
    assert world.engine.history == ["started post-compute"]
