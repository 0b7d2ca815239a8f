"""Tasks end as they should while the pool's services misbehave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import httpx
import trio

from iexec_worker.devpool.broker.frames import Frame
from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.wire import Action, Cause, Status
from tests.integration.moments import computing
from tests.integration.shop import Order
from tests.looking import until
from tests.samples import TO_COMPLETED

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency
    from tests.integration.shop import Ended, Shop

LIMIT: Final = 50


def assert_completed(ended: Ended) -> None:
    assert ended.told == list(TO_COMPLETED)
    ended.completed()


async def test_an_abort_while_computing_removes_the_container_within_two_seconds(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=40"))
        await computing(pool, worker, bought.task_id)

        async def gone() -> bool:
            return not await trio.to_thread.run_sync(worker.containers, bought.task_id)

        # The pool's own way to abort: nobody contributed in time.
        with pool.notifications.held() as held:
            await pool.advance(7 * 60 + 1)
            await pool.task_status(bought.task_id, "FAILED")
            assert [message.action for message in held] == [Action.PLEASE_ABORT]
        # Now it goes out.
        await until(gone, limit=2)
        ended = await shop.over(bought, worker.wallet)

    assert ended.told[-2:] == [Status.COMPUTING, Status.ABORTED]
    assert ended.cause(Status.ABORTED) == Cause.CONTRIBUTION_TIMEOUT


async def test_a_scheduler_that_restarts_is_joined_again_idle_and_while_computing(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        await worker.ready()
        await pool.restart_scheduler()
        bought = await shop.buy(Order("sleep=2"))
        await computing(pool, worker, bought.task_id)
        await pool.restart_scheduler()
        ended = await shop.over(bought, worker.wallet)

    assert_completed(ended)
    # One for each process of the scheduler.
    assert len(pool.record.calls("POST /workers/login")) == 3


async def test_tokens_forgotten_in_the_middle_cost_one_login(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start(slots=2)
        one, two = await shop.buy(Order("one sleep=1")), await shop.buy(Order("two sleep=1"))
        for bought in (one, two):
            await computing(pool, worker, bought.task_id)
        pool.scheduler.process.memory.tokens.forget()
        for bought in (one, two):
            assert_completed(await shop.over(bought, worker.wallet))

    assert len(pool.record.calls("POST /workers/login")) == 2


async def test_a_link_that_breaks_in_any_way_is_made_again_and_loses_nothing(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    breaks: tuple[Callable[[], object], ...] = (
        pool.services.scheduler.front.cut,
        pool.sockjs.kill,
        lambda: pool.sockjs.close(3000, "Go away!"),
    )
    worker = await agency.start()
    for break_it in breaks:
        with trio.fail_after(LIMIT):
            bought = await shop.buy(Order())
            # Broken while the worker waits for it, the link takes PLEASE_REVEAL along.
            pool.notifications.drop(Action.PLEASE_REVEAL, times=1)
            await pool.record.until_told(bought.task_id, Status.CONTRIBUTED)
            links = len(pool.record.calls("POST /connect/*/xhr_streaming"))
            asked = len(pool.record.calls("GET /replicates/interrupted"))
            broken = trio.current_time()
            break_it()
            await pool.record.until_called("POST /connect/*/xhr_streaming", links + 1)
            await pool.record.until_called("GET /replicates/interrupted", asked + 1)
            await pool.record.until_told(bought.task_id, Status.REVEALING)
            # Not by the chain, at which a worker looks every half minute.
            assert trio.current_time() - broken < 10
            assert_completed(await shop.over(bought, worker.wallet))


async def test_please_reveal_may_overtake_the_answer_that_it_follows(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=1"))
        await pool.record.until_told(bought.task_id, Status.CONTRIBUTING)
        endpoint = f"POST /replicates/{bought.task_id}/updateStatus"
        late = pool.faults.on(endpoint).delay_answer(2, times=1)
        ended = await shop.over(bought, worker.wallet)

    assert late.hits == 1
    assert_completed(ended)
    contributed = next(e for e in pool.record.calls(endpoint) if b'"CONTRIBUTED"' in bytes(e.body))
    assert contributed.answered_at is not None
    assert contributed.answered_at - contributed.at >= 2
    # It was not told twice.
    assert [u.code for u in ended.updates] == [200] * len(TO_COMPLETED)


async def test_answers_that_are_lost_or_503_for_a_while_change_nothing(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=1"))
        endpoint = f"POST /replicates/{bought.task_id}/updateStatus"
        await pool.record.until_told(bought.task_id, Status.COMPUTING)
        unavailable = pool.faults.on(endpoint).status(503, times=2)
        await unavailable.hit(2)
        lost = pool.faults.on(endpoint).lose_answer(times=1)
        ended = await shop.over(bought, worker.wallet)

    assert lost.hits == 1
    assert ended.told == list(TO_COMPLETED)
    assert [u.code for u in ended.updates if not u.accepted] == [208]
    # The answer to COMPUTED was lost: what is next, the worker knows.
    ended.completed()
    # The exit code is told once: the pool's task feedback breaks otherwise.
    told = [u for u in ended.updates if u.accepted and u.details.get("exitCode") is not None]
    assert [u.status for u in told] == [Status.COMPUTED]


async def test_html_instead_of_the_configuration_is_waited_out(pool: Pool, agency: Agency) -> None:
    page = b"<html><body>Please log in to this network</body></html>"
    portal = pool.faults.on("GET /workers/config").body(page)
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        await portal.hit(2)
        # With a pause in between: this is no busy loop.
        first, second = pool.record.calls("GET /workers/config")[:2]
        assert second.at - first.at >= 0.2
        readiness = await worker.get("/actuator/health/readiness")
        assert readiness.status_code == 503
        said = [e for e in worker.events() if e["level"] == "warning"]
        assert "HTML instead of JSON" in said[0]["reason"]
        assert "proxy" in said[0]["reason"]
        portal.off()
        await worker.registered(pool)


async def test_what_a_stranger_publishes_moves_nothing(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=2"))
        await computing(pool, worker, bought.task_id)
        for action in Action:
            message = Message(bought.task_id, action, [worker.wallet], Extra(block_number=10**12))
            await publish(pool, message, via=f"stranger-{action}")
        await publish(pool, "no notification", via="noise", topic=bought.task_id)
        ended = await shop.over(bought, worker.wallet)

    assert_completed(ended)
    doubted = {e["action"] for e in worker.events() if e["event"] == "notification not believed"}
    # The chain confirms these three later, and then the pool says the same.
    later = {Action.PLEASE_REVEAL, Action.PLEASE_UPLOAD, Action.PLEASE_COMPLETE}
    assert doubted == set(Action) - later


async def publish(pool: Pool, message: Message | str, *, via: str, topic: str = "") -> None:
    """Publish as anybody who reaches the scheduler can."""
    if isinstance(message, Message):
        topic, body = message.chain_task_id, json.dumps(message.as_json())
    else:
        body = message
    url = f"{pool.url}/connect/000/{via}"
    frames = (
        Frame("CONNECT", {"accept-version": "1.2", "host": "x"}),
        Frame("SEND", {"destination": f"/topic/task/{topic}"}, body),
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        # The first poll opens the session.
        assert (await client.post(f"{url}/xhr")).text == "o\n"
        sent = await client.post(f"{url}/xhr_send", json=[frame.encode() for frame in frames])
    assert sent.status_code == 204
