"""Wallets for workers of the embedded pool: keystores on disk, with gas and a stake."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

import trio
from attrs import field, frozen
from eth_account import Account

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.chain.market import Market

#: One coin pays for 45 transactions even at the highest price a worker offers (22 gwei).
GAS_WEI: Final = 10**18

#: Stakes of hundreds of tasks at the prices the embedded pool asks.
STAKE_NRLC: Final = 1_000_000

#: Rounds of the key derivation: two instead of a quarter of a million, because a demo should not
#: wait seconds for wallets that hold nothing. Readers take any number.
_ROUNDS: Final = 2


@frozen
class Wallet:
    """A V3 keystore at *path* and what opens it; *address* as the pool knows it (lower case)."""

    path: Path
    address: str
    password: str = field(repr=False)


async def make(folder: Path, name: str) -> Wallet:
    """Write the keystore of a new key into *folder*, for its owner's eyes only."""
    return await trio.to_thread.run_sync(_make, folder, name)


async def fund(market: Market, wallet: Wallet) -> None:
    """Give a wallet what a worker of this pool needs: gas, and a deposit to stake."""
    await market.fund_worker(wallet.address, gas_wei=GAS_WEI, stake_nrlc=STAKE_NRLC)


def _make(folder: Path, name: str) -> Wallet:
    folder.mkdir(parents=True, exist_ok=True)
    account, password = Account.create(), secrets.token_urlsafe(12)
    keystore = Account.encrypt(account.key, password, kdf="scrypt", iterations=_ROUNDS)
    path = folder / f"{name}.json"
    path.touch(mode=0o600)
    with path.open("w") as file:
        json.dump(keystore, file)
    return Wallet(path, account.address.lower(), password)
