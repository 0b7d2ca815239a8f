"""The chain of the embedded pool: one anvil process, reached over JSON-RPC."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx
from attrs import field, frozen

from iexec_worker.devpool.chain.rpc import Rpc
from iexec_worker.devpool.chain.sender import Sender
from iexec_worker.devpool.child import Child, child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: anvil serves within a fifth of a second; a loaded machine may take a hundred times as long.
_START: Final = 20.0

#: A transaction sent and awaited in one call may wait for the next block of a chain on hold.
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)

_LISTENING: Final = re.compile(r"^Listening on \S+:(\d+)$", re.MULTILINE)
_KEY: Final = re.compile(r"^\(\d+\) (0x[0-9a-f]{64})$", re.MULTILINE)


@frozen
class Node:
    """
    A running chain.

    *keys* are those of accounts with 10,000 coins each. They are the same on every anvil, and
    known to everybody.
    """

    url: str
    chain_id: int
    keys: tuple[str, ...]
    rpc: Rpc
    child: Child
    _senders: dict[str, Sender] = field(factory=dict, eq=False, repr=False)

    def sender(self, key: str) -> Sender:
        """The one sender of *key*: two for one key would take the same nonces."""
        return self._senders.setdefault(key, Sender(self.rpc, key, self.chain_id))

    async def mine(self, blocks: int = 1) -> None:
        """Mine blocks now, a second apart by their timestamps."""
        await self.rpc.call("anvil_mine", hex(blocks))

    async def increase_time(self, seconds: int) -> None:
        """Set the chain's clock forward and mine a block that shows it."""
        await self.rpc.call("evm_increaseTime", hex(seconds))
        await self.mine()

    async def next_timestamp(self, timestamp: int) -> None:
        """Give the next block this time (seconds since the epoch); it must not be in its past."""
        await self.rpc.call("evm_setNextBlockTimestamp", hex(timestamp))

    async def set_balance(self, address: str, wei: int) -> None:
        """Set an account's balance out of nowhere."""
        await self.rpc.call("anvil_setBalance", address, hex(wei))

    async def drop(self, tx_hash: str) -> bool:
        """Throw a transaction out of the pool; False if it was not (any more) there."""
        return await self.rpc.call("anvil_dropTransaction", tx_hash) is not None

    async def hold(self) -> None:
        """Mine nothing any more, whatever is sent, until `release`."""
        await self.rpc.call("evm_setAutomine", False)
        await self.rpc.call("evm_setIntervalMining", 0)

    async def release(self, block_time: int = 1) -> None:
        """Mine what waits, then every *block_time* seconds; anvil can not return to mining both."""
        await self.mine()
        await self.rpc.call("evm_setIntervalMining", block_time)


@asynccontextmanager
async def anvil(
    binary: Path,
    log: Path,
    *,
    chain_id: int = 65_535,
    block_time: float = 1.0,
    gas_price: int = 1_000_000_000,
    port: int = 0,
) -> AsyncIterator[Node]:
    """
    A chain that mines on demand and every *block_time* seconds; it ends with the scope.

    Gas may be had for nothing (base fee 0, as on iExec's own chain); *gas_price* is what the node
    tells who asks, in wei. Port 0 takes a free one. Raises Fatal if anvil does not come up.
    """
    command = (
        str(binary),
        *("--port", str(port), "--chain-id", str(chain_id)),
        *("--mixed-mining", "--block-time", f"{block_time:g}"),
        *("--base-fee", "0", "--gas-price", str(gas_price)),
        # Anybody's page could otherwise talk to a chain whose keys are known.
        "--no-cors",
    )
    async with child(command, name="anvil", log=log) as process:
        greeting = await _greeting(process)
        listening = _LISTENING.search(greeting)
        assert listening is not None
        url = f"http://127.0.0.1:{listening[1]}"
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            keys = tuple(_KEY.findall(greeting))
            yield Node(url, chain_id, keys, Rpc(client, url), process)


async def _greeting(process: Child) -> str:
    """What anvil prints up to the port it listens on."""
    printed = ""

    async def complete() -> bool:
        nonlocal printed
        printed = process.log.read_text(errors="replace")
        return _LISTENING.search(printed) is not None

    await process.serving(complete, limit=_START)
    return printed
