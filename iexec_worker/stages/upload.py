"""PLEASE_UPLOAD: hand the result over, and say where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from iexec_worker.errors import Rejected, StageFailed, Unauthorized
from iexec_worker.results import link
from iexec_worker.stages.links import TRIES, Location, called_back, no_link
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.chain.wallet import Wallet
    from iexec_worker.model import ComputedFile
    from iexec_worker.stages.links import Proxies, Stored
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Upload:
    """Uploads what standard tasks have for a storage; what is *stored* already is only found."""

    wallet: Wallet
    proxies: Proxies
    blocks: BlockWatch
    stored: Stored

    async def __call__(self, task: Task) -> Details:
        computed = task.record.computed
        if computed is None:
            raise StageFailed(Cause.RESULT_LINK_MISSING, "there is no result to upload")
        location = await self._location(task, computed)
        return Details(
            result_link=location.link,
            chain_callback_data=location.callback_data,
        )

    async def _location(self, task: Task, computed: ComputedFile) -> Location:
        if task.description.tee_framework is not None:
            return await self.stored(task, computed)
        location = called_back(task, computed)
        if location is not None:
            return location
        stored = await self._persist(task, computed)
        if task.description.params.storage_provider != "ipfs":
            # By protocol: the link of a standard task can only be one to IPFS.
            raise no_link(task)
        return Location(link.ipfs_link(stored))

    async def _persist(self, task: Task, computed: ComputedFile) -> str:
        """Upload; a refusal may only mean that the proxy's node is some blocks behind ours."""
        for left in reversed(range(TRIES)):
            try:
                return await self._upload(task, computed)
            except OSError as error:
                raise StageFailed(Cause.RESULT_LINK_MISSING, f"no archive: {error}") from error
            except (Rejected, Unauthorized) as error:
                if not left:
                    raise StageFailed(Cause.RESULT_LINK_MISSING, str(error)) from error
                log.warning("upload refused, trying again", task=task.id, reason=str(error))
                await self.blocks.pause()
        raise AssertionError("the last try returns or raises")

    async def _upload(self, task: Task, computed: ComputedFile) -> str:
        """Return the result's IPFS hash; what an earlier try left there is found again."""
        proxy, ours = self.proxies.of(task), task.authorization
        task.node.doing = "uploading the result"
        token = await proxy.token(ours, self.wallet.sign_authorization(ours))
        if not await proxy.exists(token, task.id):
            await proxy.upload(token, ours, task.folder.archive, computed.result_digest)
        found = await proxy.ipfs_hash(task.id)
        if not found:
            raise Rejected(f"result proxy {proxy.name} took the result but has no hash for it")
        return found
