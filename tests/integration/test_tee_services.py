"""TEE tasks when the SMS is another's, away or unwilling, and in a pool of 8.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio

from iexec_worker.model import TaskStatus, TeeFramework
from iexec_worker.wire import Status
from tests.integration.shop import Dataset, Order, Trusted, quick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.tee.sms import Sms
    from tests.integration.house import House, Site
    from tests.integration.shop import Ended

F = TeeFramework

UNCONFIGURED: Final = "GET_TEE_SERVICES_CONFIGURATION_FAILED"
NO_TOKEN: Final = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED"

#: Half a minute of it are a worker's patience with an SMS that is away.
_LIMIT: Final = 90


@pytest.fixture
def options(tmp_path: Path, house: House) -> PoolOptions:
    return house.options(quick(tmp_path / "pool"))


def serve_another(sms: Sms) -> None:
    other = F.GRAMINE if sms.framework is F.SCONE else F.SCONE
    sms.faults.on("GET /tee/framework").body(f'"{other.name}"'.encode())


def go_away(sms: Sms) -> None:
    sms.faults.on("*").reset()


def refuse(sms: Sms) -> None:
    sms.refuse_sessions("INVALID_AUTHORIZATION")


@pytest.mark.parametrize(
    ("break_it", "causes"),
    [
        # A TDX task asks the SMS for its session only.
        (serve_another, {F.SCONE: UNCONFIGURED, F.GRAMINE: UNCONFIGURED}),
        (go_away, {F.SCONE: UNCONFIGURED, F.GRAMINE: UNCONFIGURED, F.TDX: NO_TOKEN}),
        (refuse, dict.fromkeys(F, "TEE_SESSION_GENERATION_INVALID_AUTHORIZATION")),
    ],
)
async def test_without_its_sms_a_task_does_not_start(
    break_it: Callable[[Sms], None], causes: Mapping[TeeFramework, str], site: Site
) -> None:
    with trio.fail_after(_LIMIT):
        ends = await all_at_once(site, causes, break_it)

    for framework, cause in causes.items():
        told = [Status.STARTING, Status.START_FAILED, Status.ABORTED]
        assert ends[framework].told == told, framework
        assert ends[framework].cause(Status.START_FAILED) == cause, framework


async def all_at_once(
    site: Site, frameworks: Mapping[TeeFramework, str], break_it: Callable[[Sms], None]
) -> dict[TeeFramework, Ended]:
    """Buy a task of each of *frameworks*; *break_it* when the scheduler has all it needs of SMS."""
    pool = site.pool
    worker = await site.worker(slots=len(frameworks))
    kept_back = pool.faults.on("GET /replicates/available").status(204)
    bought = {
        f: await site.shop.buy(Order(image="trusted", trusted=Trusted(f))) for f in frameworks
    }
    for framework, one in bought.items():
        await pool.task_status(one.task_id, "INITIALIZED")
        break_it(pool.sms[framework])
    kept_back.off()
    return {f: await site.shop.over(one, worker.wallet) for f, one in bought.items()}


class TestPoolOf86:
    """The 8.x stack: callbacks without a signature, and causes that the pool does not know."""

    @pytest.fixture
    def options(self, tmp_path: Path, house: House) -> PoolOptions:
        plain = quick(tmp_path / "pool")
        older = attrs.evolve(plain.scheduler, version="8.6.0")
        return house.options(attrs.evolve(plain, scheduler=older))

    @pytest.mark.parametrize("framework", [F.SCONE, F.GRAMINE])
    async def test_a_task_is_completed(self, framework: TeeFramework, site: Site) -> None:
        ended = await self.ended(site, Order("hello", dataset=Dataset()), framework)
        assert ended.told[-1] is Status.COMPLETED
        assert ended.onchain.status is TaskStatus.COMPLETED

    async def test_a_cause_that_it_knows_is_told(self, site: Site) -> None:
        content = b"pre-compute: causes=PRE_COMPUTE_DATASET_DECRYPTION_FAILED\n"
        ended = await self.ended(site, Order(dataset=Dataset(content)), F.SCONE)
        told = ended.update(Status.COMPUTE_FAILED)
        assert (told.code, told.cause) == (200, "PRE_COMPUTE_DATASET_DECRYPTION_FAILED")

    async def test_a_cause_that_it_does_not_know_is_told_in_a_form_that_it_takes(
        self, site: Site
    ) -> None:
        content = b"pre-compute: causes=PRE_COMPUTE_INVALID_TEE_SIGNATURE\n"
        ended = await self.ended(site, Order(dataset=Dataset(content)), F.GRAMINE)
        assert ended.told[-2:] == [Status.COMPUTE_FAILED, Status.ABORTED]
        (taken,) = [
            told for told in ended.updates if told.status is Status.COMPUTE_FAILED and told.accepted
        ]
        assert taken.cause == "PRE_COMPUTE_FAILED_UNKNOWN_ISSUE"

    async def ended(self, site: Site, order: Order, framework: TeeFramework) -> Ended:
        with trio.fail_after(_LIMIT):
            worker = await site.worker()
            trusted = attrs.evolve(order, image="trusted", trusted=Trusted(framework))
            return await site.shop.over(await site.shop.buy(trusted), worker.wallet)
