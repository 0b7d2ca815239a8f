"""Standard post-compute: from what the app left in `iexec_out` to archive and digest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio
from attrs import field, frozen

from iexec_worker.errors import StageFailed
from iexec_worker.results import archive, computed_file, digest
from iexec_worker.results.tree import Limits
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from iexec_worker.stages.task import Task

    T = TypeVar("T")


@frozen
class PostCompute:
    """Each step has its cause; the first that fails ends it. What is above *limits* fails."""

    limits: Limits = field(factory=Limits)

    async def __call__(self, task: Task) -> None:
        """Set the record's *computed*, with its digest. Raises `StageFailed`."""
        out, folder = task.folder.iexec_out, task.folder.output
        task.node.doing = "preparing the result"
        name = await _step(
            Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE, archive.too_long_name, out, self.limits
        )
        if name is not None:
            raise StageFailed(
                Cause.POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME,
                f"{name!r} is longer than 31 characters",
            )
        # It fails for this below, too, but only after gigabytes that nobody will want were packed.
        await _step(Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED, computed_file.require_small, out)
        await _step(
            Cause.POST_COMPUTE_OUT_FOLDER_ZIP_FAILED,
            archive.zip_folder,
            out,
            task.folder.archive,
            self.limits,
        )
        await _step(Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED, computed_file.copy, out, folder)
        computed = await _step(
            Cause.POST_COMPUTE_COMPUTED_FILE_NOT_FOUND, computed_file.read, folder
        )
        digested = await _step(
            Cause.POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED,
            partial(
                digest.digest,
                computed,
                folder,
                self.limits,
                callback=task.description.has_callback,
            ),
        )
        task.record.computed = attrs.evolve(computed, result_digest=digested)
        await task.save()


async def _step(cause: Cause, step: Callable[..., T], *args: object) -> T:
    """Run *step* in a thread; whatever is wrong with the stranger's files becomes *cause*."""
    try:
        return await trio.to_thread.run_sync(step, *args)
    except (OSError, ValueError) as error:
        raise StageFailed(cause, str(error)) from error
