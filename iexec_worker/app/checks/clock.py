"""Looks at our clock: deadlines are seconds since the epoch, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.app.checks.finding import Odd, Unknown, Wrong

if TYPE_CHECKING:
    from iexec_worker.app.checks.facts import Facts

#: Seconds. An HTTP date is up to a second old, a network adds one; more is a clock that nobody
#: sets. Half a minute is what it takes for a deadline to be missed without anybody seeing why.
_NOTICED: Final = 3.0
_HARMFUL: Final = 30.0

_FIX: Final = "let NTP set this machine's clock (`timedatectl set-ntp true`)"


async def clock(facts: Facts) -> str:
    """Our clock agrees with the scheduler's and the chain's."""
    gaps = dict(_gaps(facts))
    if not gaps:
        raise Unknown("neither scheduler nor node told the time")
    fact = ", ".join(f"{round(gap):+d} s from the {name}" for name, gap in gaps.items())
    worst = max(abs(gap) for gap in gaps.values())
    if worst > _HARMFUL:
        raise Wrong(fact, _FIX)
    if worst > _NOTICED:
        raise Odd(fact, _FIX)
    return fact


def _gaps(facts: Facts) -> list[tuple[str, float]]:
    """By how many seconds our clock is ahead of whom."""
    gaps = []
    if facts.scheduler_date is not None:
        told, ours = facts.scheduler_date
        # Its seconds are cut off.
        gaps.append(("scheduler", ours - told - 0.5))
    if facts.head is not None:
        head, ours = facts.head
        age = ours - head.timestamp
        # A block is as old as the chain is slow: only its future says that we are behind, and
        # only an age of several blocks that we are ahead (or that the node lags).
        usual = 2 * facts.chain.block_time + 1 if facts.chain else _HARMFUL
        gaps.append(("chain", age if age < 0 else max(0.0, age - usual)))
    return gaps
