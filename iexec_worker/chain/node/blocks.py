"""The one watcher of new blocks: everybody who waits for the chain waits here."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.node.provider import NodeProvider
    from iexec_worker.chain.node.rpc import Block
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Four questions a second are the most a node is bothered with (Arbitrum: a block in 0.25 s).
SHORTEST_PERIOD: Final = 0.25

#: The pause grows to this while the node is away: short enough to lose no deadline by it.
LONGEST_PAUSE: Final = 15.0

#: Seconds after which what waits for a block goes on without one: some chains make none when
#: there is nothing to put in it, and another service's node may have caught up all the same.
IDLE: Final = 15.0

#: A head this old means a node that is stuck or still syncing. The pool counts its own chain
#: as down after 15 s; a minute leaves room for slow chains and for clocks that differ.
OLDEST_HEAD: Final = 60.0
OLDEST_HEAD_BLOCKS: Final = 12


@define(eq=False)
class BlockWatch:
    """
    Polls the node for its head, so that a block is known at most one *block_time* after it.

    The period is half the block time: the other half is for the request itself. *clock* is
    the wall clock. *latest* is what the node last said, None before its first answer.
    """

    provider: NodeProvider
    block_time: float
    clock: Callable[[], float] = time.time
    latest: Block | None = None
    _answered: float = 0.0
    _new: trio.Event = field(factory=trio.Event, init=False)
    _away_since: float | None = field(default=None, init=False)

    @property
    def period(self) -> float:
        """Seconds between two questions."""
        return max(self.block_time / 2, SHORTEST_PERIOD)

    async def run(
        self, node: Node, *, task_status: trio.TaskStatus[Block] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """
        Poll for ever; started with the first block. A node that is away is waited for.

        *node* shows the head, or since when the node is away.
        """
        pause = self.period
        first = True
        while True:
            try:
                block = await self._poll()
            except WorkerError as error:
                self._lost(node, error)
                pause = min(pause * 2, max(LONGEST_PAUSE, self.period))
                # Jitter: workers that lost the same node do not come back as one.
                await trio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads load
                continue
            self._arrived(node, block)
            if first:
                task_status.started(block)
                first = False
            pause = self.period
            await trio.sleep(pause)

    async def next(self) -> Block:
        """Wait for a block newer than the latest one known now."""
        known = self.latest.number if self.latest else -1
        return await self.reached(known + 1)

    async def pause(self, limit: float = IDLE) -> None:
        """Wait for the next block, *limit* seconds at most: some chains make none when idle."""
        with trio.move_on_after(limit):
            await self.next()

    async def reached(self, number: int) -> Block:
        """Wait until the chain has block *number*; returns the latest block."""
        while self.latest is None or self.latest.number < number:
            await self._new.wait()
        return self.latest

    async def current(self) -> Block:
        """The latest block; waits for the node's first answer."""
        return await self.reached(0)

    @property
    def trouble(self) -> str:
        """
        Why the node is not synchronised, for a person; empty when it is.

        It is when it answers and its head is fresh: at most a minute or 12 block times old, by
        our clock.
        """
        if self.latest is None:
            return "the node has not answered yet"
        silent = trio.current_time() - self._answered
        if self._away_since is not None and silent > max(3 * self.period, SHORTEST_PERIOD * 20):
            return f"the node has been away for {silent:.0f} s"
        age = self.clock() - self.latest.timestamp
        if age > max(OLDEST_HEAD, OLDEST_HEAD_BLOCKS * self.block_time):
            return f"the node's latest block {self.latest.number} is {age:.0f} s old"
        return ""

    async def _poll(self) -> Block:
        block = await self.provider.head()
        if self.provider.alternatives and self._stale(block):
            await self.provider.prefer_freshest()
            block = await self.provider.head()
        return block

    def _stale(self, block: Block) -> bool:
        """A node that lags shows it by its head's age; three blocks' worth may be chance."""
        return self.clock() - block.timestamp > 3 * self.block_time + 1

    def _arrived(self, node: Node, block: Block) -> None:
        self._answered = trio.current_time()
        if self._away_since is not None:
            away = self._answered - self._away_since
            log.info("node back", host=self.provider.host, away=f"{away:.0f} s")
            self._away_since = None
        known, self.latest = self.latest, block
        node.doing = f"block {block.number}, {self.clock() - block.timestamp:.0f} s old"
        if known is None or block.number > known.number:
            self._new.set()
            self._new = trio.Event()

    def _lost(self, node: Node, error: WorkerError) -> None:
        now = trio.current_time()
        if self._away_since is None:
            self._away_since = self._answered if self.latest else now
            age = f"{now - self._answered:.0f} s ago" if self.latest else "never"
            log.warning("node away", reason=str(error), last_answer=age)
        node.last_error = str(error)
        node.doing = f"node away for {now - self._away_since:.0f} s: {error}"
