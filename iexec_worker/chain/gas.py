"""The gas rules: what transactions may cost. Sans-IO; prices in wei."""

from __future__ import annotations

from typing import Final

from attrs import frozen

CONTRIBUTE_GAS: Final = 500_000
REVEAL_GAS: Final = 100_000

#: What the pool and every worker reckon for one transaction when they count what is left.
GAS_PER_TRANSACTION: Final = 1_000_000

#: Below this many transactions left a person should be told.
FEW_TRANSACTIONS: Final = 10

#: Nodes take a replacement only when it pays at least 10 % more; 12.5 % is geth's own step.
_BUMP: Final = (9, 8)


def gas_price(network: int | None, multiplier: float, cap: int) -> int:
    """The price to offer: the network's times *multiplier*, at most *cap*; *cap* if unknown."""
    return cap if network is None else min(int(network * multiplier), cap)


def transactions_left(balance: int, cap: int) -> int | None:
    """How many transactions *balance* (wei) pays at the cap; None when they cost nothing."""
    return balance // (GAS_PER_TRANSACTION * cap) if cap else None


@frozen
class GasRules:
    """The operator's and the chain's rules about gas."""

    multiplier: float
    cap: int
    sidechain: bool = False

    def price(self, network: int | None) -> int:
        """The price to offer when the network asks *network*."""
        return gas_price(network, self.multiplier, self.cap)

    def least_raise(self, price: int) -> int:
        """The lowest price at which nodes let a transaction replace one at *price*."""
        numerator, denominator = _BUMP
        return max(-(-price * numerator // denominator), price + 1)

    def raised(self, price: int, network: int | None) -> int | None:
        """The price of a replacement for a transaction at *price*; None if the cap forbids."""
        least = self.least_raise(price)
        return max(least, self.price(network)) if least <= self.cap else None

    def at_most(self, gas: int) -> int:
        """What *gas* may cost, in wei; 0 when nothing needs counting."""
        return 0 if self.sidechain else gas * self.cap

    def left(self, balance: int) -> int | None:
        """How many transactions *balance* (wei) pays; None when nothing needs counting."""
        return None if self.sidechain else transactions_left(balance, self.cap)
