"""What one scheduler process knows and its next one will not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define, field

from iexec_worker.devpool.scheduler.auth import Challenges, Tokens

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings


@define(eq=False)
class Memory:
    """Tokens, challenges, and when each wallet was last heard of and last asked for work."""

    settings: SchedulerSettings
    tokens: Tokens = field(init=False)
    challenges: Challenges = field(init=False)
    _alive: dict[str, float] = field(factory=dict, init=False)
    _asked: dict[str, float] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = Tokens(self.settings)
        self.challenges = Challenges(self.settings.challenge_life)

    def seen(self, wallet: str) -> None:
        """Note that *wallet* is alive."""
        self._alive[wallet] = trio.current_time()

    def lost(self) -> list[str]:
        """The wallets not heard of for too long; only those this process ever heard of."""
        earliest = trio.current_time() - self.settings.periods.lost_after
        return [wallet for wallet, at in self._alive.items() if at < earliest]

    def alive(self) -> list[str]:
        """The wallets heard of lately."""
        silent = self.lost()
        return [wallet for wallet in self._alive if wallet not in silent]

    def may_ask(self, wallet: str) -> bool:
        """True iff *wallet* did not ask for work too recently; asking too early does not count."""
        now, last = trio.current_time(), self._asked.get(wallet)
        if last is not None and now - last + 0.5 <= self.settings.ask_period:
            return False
        self._asked[wallet] = now
        return True
