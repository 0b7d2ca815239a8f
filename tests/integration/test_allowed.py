"""A worker whose operator allows some apps only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.wire import Status
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency
    from tests.integration.shop import Shop

LIMIT: Final = 60


async def test_what_an_operator_does_not_allow_is_left_to_others(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        choosy = await agency.start({"IEXEC_WORKER_ALLOWED_REGISTRIES": "docker.io/iexechub"})
        bought = await shop.buy(Order())
        refused = await shop.over(bought, choosy.wallet)

    assert refused.told == [Status.STARTING, Status.START_FAILED, Status.ABORTED]
    assert refused.cause(Status.START_FAILED) == "ABORTED_BY_WORKER"
    (said,) = [e["reason"] for e in choosy.events() if e["event"] == "step failed"]
    assert "IEXEC_WORKER_ALLOWED_REGISTRIES" in said
