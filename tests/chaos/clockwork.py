"""Trio made repeatable: one seed for all that is random, a clock of its own, no threads."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from iexec_worker.chain import abi, commitments
from iexec_worker.chain.wallet import Wallet
from tests.chaos.mortal import breathe
from tests.repeatable import repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iexec_worker.chain.transactions.signed import SignedTx

#: The wall clock's time when a run begins: in the past, or tokens would count as not valid yet.
EPOCH: Final = 1_700_000_000

_real_time: Final = time.time
_sign_hash: Final = cache(Wallet.sign_hash)


def now() -> float:
    """Return the wall clock of the run: it goes with Trio's."""
    return EPOCH + trio.current_time() if trio.lowlevel.in_trio_run() else _real_time()


@contextmanager
def clockwork(seed: int) -> Iterator[None]:
    """Make a run of Trio's in this block depend on *seed* only: also its clocks and threads."""
    with repeatable(seed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", now)
        patch.setattr(trio.to_thread, "run_sync", _inline)
        patch.setattr(trio.from_thread, "run_sync", lambda function, *args: function(*args))
        patch.setattr(trio.from_thread, "check_cancelled", lambda: None)
        # Nobody cuts the power: what was written is there.
        patch.setattr(os, "fsync", lambda fd: None)
        # The same things are signed and encoded in every run, which takes long.
        patch.setattr(Wallet, "sign_hash", _sign_hash)
        patch.setattr(Wallet, "sign_transaction", _sign_transaction)
        patch.setattr(commitments, "recover_prefixed", _recover_prefixed)
        patch.setattr(abi.Function, "encode", _encode)
        patch.setattr(abi.Function, "decode", _decode)
        yield


async def _inline(
    function: Callable[..., Any],
    *args: object,
    thread_name: str | None = None,
    abandon_on_cancel: bool = False,
    limiter: trio.CapacityLimiter | None = None,
) -> Any:  # noqa: ANN401 - whatever *function* returns
    """Stand for `trio.to_thread.run_sync`: once begun it ends, and its result is delivered."""
    await trio.lowlevel.checkpoint_if_cancelled()
    await trio.lowlevel.cancel_shielded_checkpoint()
    breathe()
    try:
        return function(*args)
    finally:
        await trio.lowlevel.cancel_shielded_checkpoint()


_sign: Final = Wallet.sign_transaction
_encode: Final = cache(abi.Function.encode)
_decode: Final = cache(abi.Function.decode)
_recover_prefixed: Final = cache(commitments.recover_prefixed)


@cache
def _signed(wallet: Wallet, fields: tuple[tuple[str, Any], ...]) -> SignedTx:
    return _sign(wallet, dict(fields))


def _sign_transaction(wallet: Wallet, transaction: Mapping[str, Any]) -> SignedTx:
    return _signed(wallet, tuple(transaction.items()))
