"""A chain whose node may be frozen, and killed to come back with what it had mined."""

from __future__ import annotations

import gzip
import signal
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

from iexec_worker.devpool.chaos.returning import Returning
from iexec_worker.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.chain.anvil import Node
    from iexec_worker.devpool.chain.sender import Sender

#: anvil serves within a fifth of a second, and reads a state of some MB in another.
_START: Final = 30.0


@define(eq=False)
class ReturningNode:
    """
    Restarts *node*'s process at the same port; later lives run in *nursery*.

    *owner* sends the pool's transactions. *turn* is held by whoever does the node harm, and by
    who must not be met by any.
    """

    node: Node
    owner: Sender
    folder: Path
    nursery: trio.Nursery
    turn: trio.Lock = field(factory=trio.Lock)
    _later: Returning | None = field(default=None, init=False)

    @property
    def process(self) -> trio.Process:
        """The process that runs now."""
        return self._later.process if self._later else self.node.child.process

    async def restart(self) -> None:
        """
        Kill the node and start another on the state it had.

        What waited to be mined is lost, as nodes lose it; what was mined is not.
        """
        # The pool's owner is not who is put to the test: the real one sends again what is lost.
        async with self.owner.paused():
            await self.node.hold()
            state = self.folder / "state.json"
            await trio.Path(state).write_bytes(await self._dump())
            if self._later is None:
                await self._replace(state)
            else:
                await self._later.restart(signal.SIGKILL)

    async def _replace(self, state: Path) -> None:
        """End the first process, whose place is taken by one that comes back."""
        first = self.node.child
        first.process.kill()
        await first.process.wait()
        command = list(first.command)
        command[command.index("--port") + 1] = self.node.url.rpartition(":")[2]
        self._later = Returning(
            "anvil", (*command, "--load-state", str(state)), self.folder, self._answers, _START
        )
        await self.nursery.start(self._later.run)

    async def _dump(self) -> bytes:
        """Save the state between two blocks: a new one changes accounts before it is there."""
        while True:
            before = await self.node.rpc.call("eth_blockNumber")
            raw: str = await self.node.rpc.call("anvil_dumpState", False)
            if await self.node.rpc.call("eth_blockNumber") == before:
                # Packed here, and wanted unpacked by `--load-state`.
                return gzip.decompress(bytes.fromhex(raw.removeprefix("0x")))

    async def _answers(self) -> bool:
        try:
            await self.node.rpc.call("eth_chainId")
        except Unavailable:
            return False
        return True
