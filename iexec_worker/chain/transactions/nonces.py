"""Which nonce the next transaction may have: none is given twice, none is left out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define

from iexec_worker.chain.transactions.flight import REPLACE_AFTER_BLOCKS, Route
from iexec_worker.chain.transactions.quote import Quote, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Nonces:
    """
    What this process knows of the wallet's nonces beside what a node says.

    A node that is behind, or whose latest blocks were reorganised away, counts transactions as
    not mined that we have seen mined: their nonces are not free.
    """

    route: Route
    #: Every nonce below is used by a transaction of ours, mined or on its way.
    _floor: int = 0
    _resuming: int = 0
    _hindered_since: float | None = None

    def use(self, nonce: int) -> None:
        """Keep *nonce* for the transaction that was signed with it."""
        self._floor = max(self._floor, nonce + 1)

    def give_back(self, nonce: int) -> None:
        """Let *nonce* be given again: no node took the transaction that had it."""
        self._floor = min(self._floor, nonce)

    @contextmanager
    def resuming(self) -> Iterator[None]:
        """Give no nonce while a transaction with an earlier one is brought to its end."""
        self._resuming += 1
        try:
            yield
        finally:
            self._resuming -= 1

    async def free(self) -> Quote:
        """
        Wait until no transaction of the wallet is under way; `mined` is the next nonce then.

        One that nobody looks after, from another program or another life, is waited for, too,
        and gives its nonce when it is stuck. Raises `Unavailable` and `NodeRefused`.
        """
        while True:
            now = await quote(self.route.provider, self.route.wallet.address)
            if not self._hindered(now):
                return now
            await self.route.tick()

    def _hindered(self, now: Quote) -> bool:
        if now.pending <= now.mined and now.mined >= self._floor and not self._resuming:
            self._hindered_since = None
            return False
        if self._resuming or self._hindered_since is None:
            self._hindered_since = trio.current_time()
        waited = trio.current_time() - self._hindered_since
        if waited < REPLACE_AFTER_BLOCKS * self.route.block_time:
            return True
        log.warning("taking the nonce of a stuck transaction", nonce=now.mined)
        self._hindered_since = None
        self._floor = now.mined
        return False
