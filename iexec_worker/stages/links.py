"""Where the result of a task is, for the pool and the chain: the link and the callback's data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from iexec_worker.errors import Rejected, StageFailed, Unauthorized, Unavailable, Unserved
from iexec_worker.results import link
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.model import ComputedFile
    from iexec_worker.results.proxy import ResultProxy
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Questions, a block apart, before it is believed that a result is nowhere.
TRIES: Final = 5


@frozen
class Location:
    """*callback_data* is None when the result is not for a contract."""

    link: str
    callback_data: str | None = None


@frozen
class Proxies:
    """The result proxy of a deal, or *default*, the pool's, when the deal names none."""

    proxy_at: Callable[[str], ResultProxy]
    default: str

    def of(self, task: Task) -> ResultProxy:
        """Return the result proxy of *task*."""
        return self.proxy_at(task.description.params.storage_proxy.strip() or self.default)


def called_back(task: Task, computed: ComputedFile) -> Location | None:
    """Return the location of a result that goes to a contract; None for any other."""
    if not task.description.has_callback:
        return None
    return Location(link.ethereum_link(task.description.callback), computed.callback_data)


@frozen
class Stored:
    """Finds what post-compute of a trusted task has stored: nothing is left to be uploaded."""

    proxies: Proxies
    blocks: BlockWatch

    async def __call__(self, task: Task, computed: ComputedFile) -> Location:
        """Raise `StageFailed` when there is no link, `Unserved` while the proxy is away."""
        location = called_back(task, computed)
        if location is not None:
            return location
        match task.description.params.storage_provider:
            case "ipfs":
                return Location(link.ipfs_link(await self._hash(task)))
            case "dropbox":
                return Location(link.dropbox_link(task.id))
        raise no_link(task)

    async def _hash(self, task: Task) -> str:
        proxy = self.proxies.of(task)
        task.node.doing = "asking where the result is"
        for left in reversed(range(TRIES)):
            try:
                found = await proxy.ipfs_hash(task.id)
            except (Rejected, Unauthorized) as error:
                raise StageFailed(Cause.RESULT_LINK_MISSING, str(error)) from error
            except Unavailable as error:
                raise Unserved(str(error), Cause.RESULT_LINK_MISSING) from error
            if found:
                return found
            if left:
                await self.blocks.pause()
        raise StageFailed(
            Cause.RESULT_LINK_MISSING, f"result proxy {proxy.name} has no result of the task"
        )


def no_link(task: Task) -> StageFailed:
    """Return what to raise when a result is stored where no link leads to."""
    provider = task.description.params.storage_provider[:100] or "none"
    return StageFailed(Cause.RESULT_LINK_MISSING, f"no link for storage {provider!r}")
