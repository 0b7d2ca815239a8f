from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.model import StatusUpdate
from iexec_worker.scheduler import session as scheduler_session
from iexec_worker.scheduler import turns
from iexec_worker.scheduler.api import SchedulerApi
from iexec_worker.scheduler.session import Session
from iexec_worker.wire import Status
from tests.scheduler.conftest import TASK, WALLET, FakeRest, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

PING = "/workers/ping"
LOGIN = "/workers/login"
UPDATE = f"/replicates/{TASK}/updateStatus"
INTERRUPTED = "/replicates/interrupted"


def tokens(rest: FakeRest, path: str) -> list[str]:
    return [call.token.removeprefix("Bearer ") for call in rest.called(path)]


async def test_the_first_call_logs_in_with_the_signed_challenge(
    rest: FakeRest, session: Session
) -> None:
    rest.on(PING, "0x1")

    assert await session.ping() == "0x1"
    assert await session.ping() == "0x1"

    (login,) = rest.called(LOGIN)
    assert login.body == {"value": "signed AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
    assert login.query == {"walletAddress": WALLET}
    assert tokens(rest, PING) == ["token-1", "token-1"]


async def test_a_401_logs_in_once_and_calls_again(rest: FakeRest, session: Session) -> None:
    rest.on(PING, "0x1", 401, "0x2")
    await session.ping()

    assert await session.ping() == "0x2"
    assert tokens(rest, PING) == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize("earlier", [0, 1])
async def test_ten_401s_at_once_make_one_login(
    rest: FakeRest, session: Session, earlier: int
) -> None:
    rest.on(PING, "0x1")
    for _ in range(earlier):
        await session.ping()
    together = trio.Event()
    refused = [Reply(401, wait=together)] * 10
    rest.on("/workers/computing", *refused[: 10 * earlier], "[]")

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(session.computing)
        with trio.fail_after(5):
            while len(rest.called("/workers/computing")) < 10:
                await trio.lowlevel.checkpoint()
        together.set()

    assert len(rest.called(LOGIN)) == 1 + earlier


async def test_a_dead_token_is_seen_through_with_a_second_login(
    rest: FakeRest, session: Session
) -> None:
    # The pool gives the token that expired until it has refused it.
    rest.on(LOGIN, "dead", "dead", "alive")
    rest.on(PING, 401, 401, "0x1")

    assert await session.ping() == "0x1"
    assert tokens(rest, PING) == ["dead", "dead", "alive"]


async def test_logins_are_bounded_when_no_token_is_good(rest: FakeRest, session: Session) -> None:
    rest.on(PING, 401)

    with pytest.raises(Unauthorized):
        await session.ping()

    # The first call of all needed one login to begin with.
    assert len(rest.called(LOGIN)) == 3


async def test_a_refused_login_says_what_to_do(rest: FakeRest, session: Session) -> None:
    rest.on("/workers/challenge", 401)

    with pytest.raises(Rejected, match="IEXEC_WORKERS_WHITELIST"):
        await session.ping()


async def test_a_login_that_fails_fails_for_all_who_wait(rest: FakeRest, session: Session) -> None:
    together = trio.Event()
    rest.on(LOGIN, Reply(503, wait=together))
    failures = []

    async def ping() -> None:
        with pytest.raises(Unavailable, match="503") as caught:
            await session.ping()
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ping)
        with trio.fail_after(5):
            while not rest.called(LOGIN):
                await trio.lowlevel.checkpoint()
        together.set()

    assert len(failures) == 10
    assert len(rest.called(LOGIN)) == 1

    rest.on(LOGIN, "token")
    rest.on(PING, "0x1")
    assert await session.ping() == "0x1"


async def test_a_login_that_hangs_ends_for_all_who_wait_before_the_next_ping_is_due(
    rest: FakeRest, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_session, "LOGIN_LIMIT", 0.1)
    rest.on(LOGIN, Reply(wait=trio.Event()))
    with trio.fail_after(5), pytest.raises(Unavailable, match=r"no login within 0\.1 s"):
        await session.ping()


async def test_a_login_that_is_cancelled_is_taken_over_by_the_next(
    rest: FakeRest, session: Session
) -> None:
    never = trio.Event()
    rest.on(LOGIN, Reply(200, "lost", wait=never), "token")
    rest.on(PING, "0x1")
    answers: list[str] = []

    async def ping() -> None:
        answers.append(await session.ping())

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as first:
            async with trio.open_nursery() as leading:
                leading.start_soon(session.ping)
                with trio.fail_after(5):
                    while not rest.called(LOGIN):
                        await trio.lowlevel.checkpoint()
                nursery.start_soon(ping)
                await trio.testing.wait_all_tasks_blocked()
                first.cancel()

    assert answers == ["0x1"]


async def test_an_odd_challenge_reaches_the_signature_as_it_is(
    rest: FakeRest, client: httpx.AsyncClient
) -> None:
    seen: list[str] = []

    def sign(challenge: str, /) -> str:
        seen.append(challenge)
        return "0x"

    rest.on("/workers/challenge", '"quoted +/="', "0x", '{"a": 1}')
    rest.on(PING, 401)
    with pytest.raises(Unauthorized):
        await Session(SchedulerApi(client, rest.url), WALLET, sign).ping()

    assert seen == ['"quoted +/="', "0x", '{"a": 1}']


async def test_the_age_of_the_last_answer_is_known(rest: FakeRest, session: Session) -> None:
    rest.on(PING, "0x1")

    assert session.last_answer() == "never"
    await session.ping()
    assert session.last_answer() == "0 s ago"


async def test_wall_clock_deadlines_in_the_past_cost_no_request(
    rest: FakeRest, session: Session
) -> None:
    with pytest.raises(Unavailable, match="STARTED was not told in time"):
        await session.report(TASK, StatusUpdate(Status.STARTED), deadline=time.time() - 1)

    assert rest.calls == []


@pytest.mark.parametrize("told_first", [True, False])
async def test_nothing_is_told_while_the_pool_is_asked_what_it_wants(
    rest: FakeRest, session: Session, *, told_first: bool
) -> None:
    answer = trio.Event()
    rest.on(UPDATE, Reply(200, '"PLEASE_CONTINUE"', wait=answer))
    rest.on(INTERRUPTED, Reply(200, "[]", wait=answer))
    revealed = StatusUpdate(Status.REVEALED)
    calls: list[Callable[[], Awaitable[object]]] = [
        partial(session.update, TASK, revealed),
        partial(session.interrupted, 7),
    ]
    paths = [UPDATE, INTERRUPTED]
    if not told_first:
        calls.reverse()
        paths.reverse()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls[0])
        with trio.fail_after(5):
            while not rest.called(paths[0]):
                await trio.lowlevel.checkpoint()
        nursery.start_soon(calls[1])
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert rest.called(paths[1]) == []
        answer.set()

    assert len(rest.called(UPDATE)) == len(rest.called(INTERRUPTED)) == 1


async def test_a_status_that_hangs_keeps_no_question_back_for_ever(
    rest: FakeRest, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    rest.on(UPDATE, Reply(200, wait=trio.Event()))
    rest.on(INTERRUPTED, "[]")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.update, TASK, StatusUpdate(Status.REVEALED))
        with trio.fail_after(5):
            while not rest.called(UPDATE):
                await trio.lowlevel.checkpoint()
            assert await session.interrupted(7) == ()
        nursery.cancel_scope.cancel()
