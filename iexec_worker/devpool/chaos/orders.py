"""The tasks of a chaos run: short ones, each of whose results is known beforehand."""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.chain.orders import Purchase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iexec_worker.devpool.chaos.options import ChaosOptions
    from iexec_worker.devpool.chaos.scene import Scene

#: Seconds of the category: the contracts give seven times that for contributions, twice for
#: reveals. Another worker gets a task that one has dropped after this time.
PERIOD: Final = 60

#: Of all time, how much of it tasks are bought in: the last ones shall meet faults, too.
_BUYING: Final = 0.8

#: How often two workers have to agree (the smallest trust that takes two).
_PAIRS: Final = 0.35
_TRUST: Final = 3


@frozen
class Order:
    """A task, bought *at* seconds after the start."""

    number: int
    at: float
    trust: int
    seconds: float

    @property
    def args(self) -> str:
        """What the app is told."""
        return f"sleep={self.seconds} task-{self.number}"

    @property
    def digest(self) -> str:
        """The digest of what the app writes, as `0x…`; see `devpool/app.sh`."""
        words = "".join(f"argument: [{word}]\n" for word in self.args.split())
        return "0x" + hashlib.sha256(f"task index: 0 of 1\n{words}".encode()).hexdigest()


def make_orders(options: ChaosOptions) -> tuple[Order, ...]:
    """All orders of a run, by its seed; one in three needs two workers that agree."""
    return tuple(_orders(options, Random(f"{options.seed} orders")))


def _orders(options: ChaosOptions, random: Random) -> Iterator[Order]:
    for number in range(options.tasks):
        at = _BUYING * options.duration * number / options.tasks
        pair = options.workers > 1 and random.random() < _PAIRS
        yield Order(number, at, _TRUST if pair else 1, round(random.uniform(0.2, 8.0), 1))


async def buy(scene: Scene, orders: tuple[Order, ...], bought: dict[str, Order]) -> None:
    """Buy each order at its time; *bought* is given the task ids."""
    began = trio.current_time()
    market = scene.pool.market
    app = await market.deploy_app(scene.image)
    for order in orders:
        await trio.sleep_until(began + order.at)
        purchase = Purchase(
            app=app,
            workerpool=scene.pool.chain.pool_address,
            category=category_id(PERIOD),
            params=params(order.args, proxy=scene.results_url),
            trust=order.trust,
        )
        # The requester is not who is put to the test: the node is there when it buys.
        async with scene.node.turn:
            deal = await market.buy(purchase)
        bought[deal.task_ids[0]] = order
