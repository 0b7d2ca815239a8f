"""PLEASE_DOWNLOAD_DATA: the dataset and the input files of a standard task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.errors import BadChecksum, Declined, DownloadFailed, StageFailed
from iexec_worker.stages.task import Details
from iexec_worker.telemetry.sizes import size
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from iexec_worker.inputs.files import InputFiles
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.fallback import Fallback
    from iexec_worker.stages.task import Task


@frozen
class DownloadData:
    """Fills the input folder of a standard task; that of a trusted one is its pre-compute's."""

    conditions: Conditions
    inputs: InputFiles
    fallback: Fallback

    async def __call__(self, task: Task) -> Details:
        if task.description.tee_framework is not None:
            return Details()
        await self.conditions.check(task)
        make = partial(task.folder.input.mkdir, parents=True, exist_ok=True)
        await trio.to_thread.run_sync(make)
        try:
            await self._download(task)
        except Declined as error:
            # Others may have room for it: to contribute an error would be to lose against them.
            raise StageFailed(Cause.ABORTED_BY_WORKER, str(error)) from error
        except StageFailed as error:
            await self.fallback(task, Status.DATA_DOWNLOAD_FAILED, error.cause)
            raise
        return Details()

    async def _download(self, task: Task) -> None:
        taken = 0
        try:
            if task.description.has_dataset:
                show = partial(_show, task, "downloading the dataset")
                show()
                file = await self.inputs.fetch_dataset(task.description, task.folder.input, show)
                taken += file.size
        except BadChecksum as error:
            raise StageFailed(Cause.DATASET_FILE_BAD_CHECKSUM, str(error)) from error
        except DownloadFailed as error:
            raise StageFailed(Cause.DATASET_FILE_DOWNLOAD_FAILED, str(error)) from error
        try:
            for number, url in enumerate(task.description.params.input_files, 1):
                show = partial(_show, task, f"downloading input file {number}")
                show()
                file = await self.inputs.fetch_input(url, task.folder.input, show, taken=taken)
                taken += file.size
        except DownloadFailed as error:
            raise StageFailed(Cause.INPUT_FILES_DOWNLOAD_FAILED, str(error)) from error


def _show(task: Task, what: str, done: int = 0, total: int | None = None) -> None:
    task.node.doing = f"{what}: {size(done)}" + (f" of {size(total)}" if total else "")
