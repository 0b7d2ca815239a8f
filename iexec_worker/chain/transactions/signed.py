"""A transaction that was signed: its bytes say all about it. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rlp  # type: ignore[import-untyped]  # it has no annotations
from attrs import frozen
from eth_hash.auto import keccak
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class SignedTx:
    """
    A legacy transaction ready for the network; *price* in wei for a unit of *gas*.

    Broadcast again, the same bytes are the same transaction: it is not mined twice.
    """

    raw: bytes
    tx_hash: str
    nonce: int
    price: int
    gas: int
    to: str
    data: str

    @classmethod
    def read(cls, raw: bytes) -> SignedTx:
        """Take it apart. Raises `ValueError` when it is no legacy transaction."""
        try:
            nonce, price, gas, to, _, data, *_ = rlp.decode(raw)
        except (RLPException, TypeError) as error:
            raise ValueError(f"{raw[:8].hex()}… is no signed transaction: {error}") from error
        return cls(
            raw,
            "0x" + keccak(raw).hex(),
            int.from_bytes(nonce),
            int.from_bytes(price),
            int.from_bytes(gas),
            "0x" + to.hex(),
            "0x" + data.hex(),
        )

    @classmethod
    def from_hex(cls, text: str) -> SignedTx:
        """Read what `hex` gave. Raises `ValueError` when it is something else."""
        return cls.read(bytes.fromhex(text.removeprefix("0x")))

    @property
    def hex(self) -> str:
        """The bytes as nodes and the journal take them."""
        return "0x" + self.raw.hex()


class Versions(list[SignedTx]):
    """
    All that was signed for one call with one nonce, the latest and dearest last.

    Everybody who sees to the transaction has the same list: what one of them signs is looked for
    by all.
    """

    def join(self, others: Iterable[SignedTx]) -> None:
        """Take in those of *others* that are not known yet."""
        self[:] = sorted({*self, *others}, key=lambda one: one.price)
