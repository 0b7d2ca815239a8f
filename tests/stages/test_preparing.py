"""Start and downloads: the causes, and the error result that others contribute, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define, field

from iexec_worker.errors import (
    BadChecksum,
    Declined,
    DownloadFailed,
    EngineRefused,
    PullFailed,
    Rejected,
    StageFailed,
    Unavailable,
)
from iexec_worker.inputs.download import Downloaded
from iexec_worker.model import DealParams
from iexec_worker.stages.download_app import DownloadApp
from iexec_worker.stages.download_data import DownloadData
from iexec_worker.stages.fallback import Fallback
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.telemetry.durations import Durations
from iexec_worker.wire import Cause
from tests.samples import SCONE, description
from tests.stages.conftest import FakePostCompute, start_of

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.inputs.files import Progress
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Stage, Task
    from tests.stages.conftest import FakeChain

ADDRESS = "0x" + 40 * "d"

#: For tasks that are not trusted.
NO_SERVICES: Any = None


@define(eq=False)
class FakeImages:
    """An engine with or without the image; *error* is what a pull ends in."""

    error: Exception | None = None
    local: str | None = None
    limits: list[float] = field(factory=list)

    async def pull(self, image: str, *, limit: float, progress: object) -> None:
        await trio.lowlevel.checkpoint()
        self.limits.append(limit)
        if self.error is not None:
            raise self.error

    async def find(self, image: str) -> str | None:
        await trio.lowlevel.checkpoint()
        return self.local


@define(eq=False)
class FakeInputs:
    dataset_error: Exception | None = None
    input_error: Exception | None = None
    fetched: list[str] = field(factory=list)
    #: What each was told that the files before it take of the task's bytes.
    taken: list[int] = field(factory=list)

    async def fetch_dataset(self, task: object, into: Path, progress: Progress) -> Downloaded:
        await trio.lowlevel.checkpoint()
        progress(25_000, 100_000)
        self.fetched.append("dataset")
        if self.dataset_error is not None:
            raise self.dataset_error
        return Downloaded(into / "dataset", "0x", size=100)

    async def fetch_input(
        self, url: str, into: Path, progress: Progress, *, taken: int
    ) -> Downloaded:
        await trio.lowlevel.checkpoint()
        progress(1_500_000, None)
        self.fetched.append(url)
        self.taken.append(taken)
        if self.input_error is not None:
            raise self.input_error
        return Downloaded(into / url, "0x", size=10)


def download_app(
    conditions: Conditions, images: FakeImages, post_compute: object = None
) -> DownloadApp:
    engine: Any = images
    after: Any = post_compute or PostCompute()
    fallback = Fallback(after, "9.3.0", NO_SERVICES, Durations(1))
    return DownloadApp(conditions, engine, fallback, 300, 1800, lambda _: None)


def download_data(conditions: Conditions, inputs: FakeInputs) -> DownloadData:
    edge: Any = inputs
    fallback = Fallback(PostCompute(), "8.6.0", NO_SERVICES, Durations(1))
    return DownloadData(conditions, edge, fallback)


async def cause(stage: Stage, task: Task) -> Cause:
    with pytest.raises(StageFailed) as caught:
        await stage(task)
    return caught.value.cause


async def test_a_standard_task_cannot_have_its_result_encrypted(
    conditions: Conditions, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authorized(_conditions: Conditions, _task: Task) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(type(conditions), "authorized", authorized)
    start = start_of(conditions)
    await start(task)
    task.describe_as(description(params=DealParams(result_encryption=True)))
    assert await cause(start, task) is Cause.TASK_DESCRIPTION_INVALID
    task.describe_as(description(tag=SCONE))
    assert await cause(start, task) is Cause.TEE_NOT_SUPPORTED


async def test_an_image_that_is_here_though_the_pull_failed_is_success(
    conditions: Conditions, task: Task
) -> None:
    images = FakeImages(PullFailed("registry away"), local="sha256:1")
    await download_app(conditions, images)(task)
    assert images.limits == [420]


@pytest.mark.parametrize("error", [PullFailed("no"), Rejected("no tag"), EngineRefused("no")])
async def test_an_image_that_cannot_be_had_leaves_the_error_as_result(
    conditions: Conditions, task: Task, error: Exception
) -> None:
    stage = download_app(conditions, FakeImages(error))
    assert await cause(stage, task) is Cause.APP_IMAGE_DOWNLOAD_FAILED
    text = (task.folder.iexec_out / "error.txt").read_text()
    assert "APP_DOWNLOAD_FAILED" in text
    assert "APP_IMAGE_DOWNLOAD_FAILED" in text
    assert task.record.computed is not None
    assert task.record.computed.result_digest.startswith("0x")
    assert task.folder.archive.exists()


async def test_an_app_of_another_type_is_refused(conditions: Conditions, task: Task) -> None:
    task.describe_as(description(app_type="WASM"))
    stage = download_app(conditions, FakeImages(local="sha256:1"))
    assert await cause(stage, task) is Cause.APP_IMAGE_DOWNLOAD_FAILED


async def test_an_engine_that_is_away_is_no_failed_download(
    conditions: Conditions, task: Task
) -> None:
    with pytest.raises(Unavailable):
        await download_app(conditions, FakeImages(Unavailable("away")))(task)


async def test_an_error_result_that_cannot_be_made_is_an_unknown_issue(
    conditions: Conditions, task: Task
) -> None:
    broken = FakePostCompute(StageFailed(Cause.POST_COMPUTE_OUT_FOLDER_ZIP_FAILED, "disk full"))
    stage = download_app(conditions, FakeImages(PullFailed("no")), broken)
    assert await cause(stage, task) is Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE


async def test_a_callback_has_no_error_result(conditions: Conditions, task: Task) -> None:
    task.describe_as(description(callback=ADDRESS))
    stage = download_app(conditions, FakeImages(PullFailed("no")))
    assert await cause(stage, task) is Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE


async def test_nothing_is_pulled_for_a_task_without_stake(
    conditions: Conditions, chain: FakeChain, task: Task
) -> None:
    chain.stake = 0
    images = FakeImages()
    assert await cause(download_app(conditions, images), task) is Cause.STAKE_TOO_LOW
    assert images.limits == []


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (FakeInputs(dataset_error=BadChecksum("no")), Cause.DATASET_FILE_BAD_CHECKSUM),
        (FakeInputs(dataset_error=DownloadFailed("no")), Cause.DATASET_FILE_DOWNLOAD_FAILED),
        (FakeInputs(input_error=DownloadFailed("no")), Cause.INPUT_FILES_DOWNLOAD_FAILED),
    ],
)
async def test_data_that_cannot_be_had_has_its_cause_and_an_error_result(
    conditions: Conditions, task: Task, inputs: FakeInputs, expected: Cause
) -> None:
    params = DealParams(input_files=("http://a/1",))
    task.describe_as(description(dataset_address=ADDRESS, dataset_uri="http://d", params=params))
    assert await cause(download_data(conditions, inputs), task) is expected
    assert (task.folder.iexec_out / "error.txt").read_text() == (
        "[IEXEC] Error occurred while computing the task "
        f"[error:DATA_DOWNLOAD_FAILED, cause:{expected}]"
    )
    assert task.record.computed is not None


@pytest.mark.parametrize(
    "inputs",
    [FakeInputs(dataset_error=Declined("full")), FakeInputs(input_error=Declined("full"))],
)
async def test_data_that_has_no_room_here_is_left_to_other_workers(
    conditions: Conditions, task: Task, inputs: FakeInputs
) -> None:
    params = DealParams(input_files=("http://a/1",))
    task.describe_as(description(dataset_address=ADDRESS, dataset_uri="http://d", params=params))
    assert await cause(download_data(conditions, inputs), task) is Cause.ABORTED_BY_WORKER
    assert task.record.computed is None


async def test_the_inputs_of_a_task_share_its_bytes(conditions: Conditions, task: Task) -> None:
    params = DealParams(input_files=("1", "2"))
    task.describe_as(description(dataset_address=ADDRESS, dataset_uri="http://d", params=params))
    inputs = FakeInputs()
    await download_data(conditions, inputs)(task)
    assert inputs.taken == [100, 110]


async def test_what_arrives_is_shown(conditions: Conditions, task: Task) -> None:
    task.describe_as(description(dataset_address=ADDRESS, dataset_uri="http://d"))
    await download_data(conditions, FakeInputs())(task)
    assert task.node.doing == "downloading the dataset: 25.0 kB of 100.0 kB"

    task.describe_as(description(params=DealParams(input_files=("1",))))
    await download_data(conditions, FakeInputs())(task)
    assert task.node.doing == "downloading input file 1: 1.5 MB"


async def test_a_task_without_data_downloads_nothing(conditions: Conditions, task: Task) -> None:
    inputs = FakeInputs()
    await download_data(conditions, inputs)(task)
    assert inputs.fetched == []


async def test_an_image_that_this_machine_does_not_take_leaves_no_result(
    conditions: Conditions, task: Task
) -> None:
    stage = download_app(conditions, FakeImages(Declined("it is for linux/arm64")))
    # With any cause but that of a failed download the pool aborts: others may compute it.
    assert await cause(stage, task) is Cause.ABORTED_BY_WORKER
    assert task.record.computed is None
    assert not task.folder.iexec_out.exists()


async def test_an_image_that_is_here_is_used_though_its_refresh_was_declined(
    conditions: Conditions, task: Task
) -> None:
    await download_app(conditions, FakeImages(Declined("too large"), local="sha256:1"))(task)
