from __future__ import annotations

import json
import time

import attrs
import httpx
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from iexec_worker.errors import Rejected, Unavailable
from iexec_worker.model import StatusUpdate
from iexec_worker.scheduler.api import Answer, SchedulerApi
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.session import Session
from iexec_worker.wire import Action, Cause, Status
from tests.scheduler.conftest import TASK, WALLET, FakeRest, Reply

UPDATE = f"/replicates/{TASK}/updateStatus"
STARTED = StatusUpdate(Status.STARTED)


@attrs.define
class Pool:
    """Answers updates from a script, on whatever clock Trio has."""

    script: list[httpx.Response | float | Exception]
    times: list[float] = attrs.field(factory=list)
    updates: list[dict[str, object]] = attrs.field(factory=list)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("updateStatus"):
            return httpx.Response(200, text="token")
        self.times.append(trio.current_time())
        self.updates.append(json.loads(request.content))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(reply, float):
            await trio.sleep(reply)
            reply = httpx.Response(200)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def session(self) -> Session:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        gate = Gate()
        gate.open()
        return Session(SchedulerApi(client, "http://pool"), WALLET, lambda _: "0x", gate)


def ok(text: str = '"PLEASE_WAIT"') -> httpx.Response:
    return httpx.Response(200, text=text)


async def test_a_report_survives_503_silence_and_html(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool(
        [
            httpx.Response(503),
            httpx.ReadTimeout(""),
            httpx.Response(200, text="<html>"),
            httpx.ConnectError("refused"),
            httpx.Response(500),
            ok(),
        ]
    )

    with capture_logs() as logs:
        answer = await pool.session().report(TASK, STARTED, deadline=time.time() + 600)

    assert answer == Answer(200, Action.PLEASE_WAIT)
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert [line["attempt"] for line in warnings] == [1, 2, 3, 4, 5]
    assert warnings[1]["reason"].endswith("updateStatus: ReadTimeout")
    assert {line["last_answer"] for line in warnings} == {"never"}
    assert {(line["task"], line["status"]) for line in warnings} == {(TASK, "STARTED")}


async def test_pauses_grow_to_their_limit_with_jitter(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([httpx.Response(503)])

    with pytest.raises(Unavailable):
        await pool.session().report(TASK, STARTED, deadline=time.time() + 300)

    pauses = [after - before for before, after in zip(pool.times, pool.times[1:], strict=False)]
    for number, pause in enumerate(pauses):
        full = min(20.0, 0.5 * 2**number)
        assert full / 2 <= pause <= full + 0.001
    assert len(pauses) > 10


async def test_a_report_ends_at_its_deadline_even_within_an_attempt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()

    with pytest.raises(Unavailable, match="STARTED was not told in time: no answer yet"):
        await Pool([1000.0]).session().report(TASK, STARTED, deadline=time.time() + 60)

    assert trio.current_time() - began == pytest.approx(60, abs=1)


async def test_the_last_problem_is_told_at_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(Unavailable, match=r"not told in time: .*answered 503"):
        await Pool([httpx.Response(503)]).session().report(TASK, STARTED, deadline=time.time() + 60)


async def test_an_answer_after_100_seconds_is_an_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([100.0])

    assert await pool.session().report(TASK, STARTED, deadline=time.time() + 600) == Answer(
        200, None
    )
    assert len(pool.times) == 1


async def test_a_report_is_held_while_the_link_is_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([ok()])
    session = pool.session()
    session.gate.close()
    answers: list[Answer] = []

    async def report() -> None:
        answers.append(await session.report(TASK, STARTED, deadline=time.time() + 600))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report)
        await trio.sleep(30)
        assert pool.times == []
        session.gate.open()

    assert [answer.action for answer in answers] == [Action.PLEASE_WAIT]


async def test_a_link_that_goes_down_holds_the_next_attempt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([httpx.Response(503), ok()])
    session = pool.session()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: session.report(TASK, STARTED, deadline=time.time() + 600))
        await trio.testing.wait_all_tasks_blocked()
        session.gate.close()
        await trio.sleep(60)
        assert len(pool.times) == 1
        session.gate.open()

    assert len(pool.times) == 2


async def test_a_link_that_stays_down_is_the_reason_given(
    autojump_clock: trio.testing.MockClock,
) -> None:
    session = Pool([ok()]).session()
    session.gate.close()

    with pytest.raises(Unavailable, match="link for notifications is down"):
        await session.report(TASK, STARTED, deadline=time.time() + 60)


async def test_a_cause_that_the_pool_does_not_know_becomes_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([httpx.Response(400), ok('"PLEASE_ABORT"')])
    update = StatusUpdate(Status.COMPUTE_FAILED, cause=Cause.TEE_NOT_SUPPORTED, exit_code=3)

    answer = await pool.session().report(TASK, update, deadline=time.time() + 600)

    assert answer.action is Action.PLEASE_ABORT
    assert [sent["details"] for sent in pool.updates] == [
        {"cause": "TEE_NOT_SUPPORTED", "exitCode": 3},
        {"cause": "UNKNOWN", "exitCode": 3},
    ]


async def test_a_cause_of_pre_compute_that_an_old_pool_does_not_know_stays_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([httpx.Response(400), ok('"PLEASE_ABORT"')])
    cause = Cause.PRE_COMPUTE_TEE_CHALLENGE_PRIVATE_KEY_MISSING
    update = StatusUpdate(Status.COMPUTE_FAILED, cause=cause)

    await pool.session().report(TASK, update, deadline=time.time() + 600)

    assert pool.updates[-1]["details"] == {"cause": "PRE_COMPUTE_FAILED_UNKNOWN_ISSUE"}


@pytest.mark.parametrize("cause", [None, Cause.UNKNOWN, Cause.OUT_OF_GAS])
async def test_a_400_that_no_other_cause_helps_is_final(
    autojump_clock: trio.testing.MockClock, cause: Cause | None
) -> None:
    pool = Pool([httpx.Response(400)])
    update = StatusUpdate(Status.COMPUTE_FAILED, cause=cause)

    with pytest.raises(Rejected, match="400"):
        await pool.session().report(TASK, update, deadline=time.time() + 600)

    assert len(pool.updates) == (2 if cause is Cause.OUT_OF_GAS else 1)


@pytest.mark.parametrize(
    ("code", "action"), [(202, Action.PLEASE_ABORT), (208, Action.PLEASE_WAIT)]
)
async def test_a_report_hands_on_what_the_pool_thinks_of_it(
    rest: FakeRest, session: Session, code: int, action: Action
) -> None:
    rest.on(UPDATE, Reply(code, f'"{action}"', "application/json"))

    with trio.fail_after(5):
        answer = await session.report(TASK, STARTED, deadline=time.time() + 5)

    assert answer == Answer(code, action)


async def test_a_401_in_the_middle_costs_a_login_and_no_pause(
    rest: FakeRest, session: Session
) -> None:
    rest.on(UPDATE, 401, Reply(200, '"PLEASE_CONTINUE"', "application/json"))

    with trio.fail_after(5):
        answer = await session.report(TASK, STARTED, deadline=time.time() + 5)

    assert answer.action is Action.PLEASE_CONTINUE
    assert [call.token for call in rest.called(UPDATE)] == ["Bearer token-1", "Bearer token-2"]
