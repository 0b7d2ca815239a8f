"""Sessions: what the enclaves of a task will be told, kept by the SMS that the pool names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from attrs import frozen

from iexec_worker.errors import Rejected, StageFailed, Unauthorized, Unavailable
from iexec_worker.tee.patience import patiently
from iexec_worker.tee.sms import SessionRefused
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.chain.wallet import Wallet
    from iexec_worker.stages.links import Proxies
    from iexec_worker.stages.task import Task
    from iexec_worker.tee.model import TeeSession
    from iexec_worker.tee.sms import Sms

T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: What an SMS calls the token with which post-compute stores a result.
NAME: Final = "iexec-result-iexec-ipfs-token"

#: Tries, a block apart: the nodes of SMS and result proxy may be some blocks behind ours.
TRIES: Final = 3

_NO_TOKEN: Final = Cause.TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED

#: What an SMS says whose node does not know the task yet.
_BEHIND: Final = frozenset(
    {
        Cause.TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_TASK_FAILED,
        Cause.TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE,
        Cause.TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_DEAL_FAILED,
        Cause.TEE_SESSION_GENERATION_GET_TASK_DESCRIPTION_FAILED,
    }
)


@frozen
class Sessions:
    """Opens them, and hands the SMS what it needs for that."""

    wallet: Wallet
    proxies: Proxies
    blocks: BlockWatch

    async def open(self, task: Task, sms: Sms) -> TeeSession:
        """Raise `StageFailed` when there is no session, also when a service stays away."""
        ours = task.authorization
        signature = self.wallet.sign_authorization(ours)
        if _needs_token(task):
            task.node.doing = "handing the SMS a token for the result"
            try:
                ask = partial(self.proxies.of(task).token, ours, signature)
                token = await self._in_some_blocks(ask, lambda _: True)
                await patiently(
                    partial(
                        sms.store_secret,
                        self.wallet.address,
                        NAME,
                        token,
                        self.wallet.sign_prefixed,
                    )
                )
            except (Rejected, Unauthorized, Unavailable) as error:
                raise StageFailed(_NO_TOKEN, str(error)) from error
        task.node.doing = f"opening a session at {sms.name}"
        return await self._session(partial(sms.session, ours, signature))

    async def _session(self, ask: Callable[[], Awaitable[TeeSession]]) -> TeeSession:
        try:
            return await self._in_some_blocks(
                ask, lambda error: isinstance(error, SessionRefused) and error.cause in _BEHIND
            )
        except SessionRefused as error:
            raise StageFailed(error.cause, str(error)) from error
        except Unauthorized as error:
            cause = Cause.TEE_SESSION_GENERATION_INVALID_AUTHORIZATION
            raise StageFailed(cause, str(error)) from error
        except (Rejected, Unavailable) as error:
            cause = Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE
            raise StageFailed(cause, str(error)) from error

    async def _in_some_blocks(
        self, ask: Callable[[], Awaitable[T]], may_pass: Callable[[Exception], bool]
    ) -> T:
        """Ask again, a block later, after a refusal that may pass."""
        for left in reversed(range(TRIES)):
            try:
                return await patiently(ask)
            except (Rejected, Unauthorized) as error:
                if not left or not may_pass(error):
                    raise
                log.info("refused, asked again at the next block", reason=str(error))
            await self.blocks.pause()
        raise AssertionError("the last try returns or raises")


def _needs_token(task: Task) -> bool:
    """False for what post-compute stores without a token of ours, if it stores it at all."""
    description = task.description
    return not description.has_callback and description.params.storage_provider != "dropbox"
