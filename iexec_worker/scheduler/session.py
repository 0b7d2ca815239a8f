"""
The policy of talking to the scheduler: who logs in and when, what is repeated and how long.

Tokens are never renewed on a timer: the pool hands out the same one until it has refused it
once. So: call, 401, one login for everybody who waits, call again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import attrs
import structlog
import trio

from iexec_worker.errors import Rejected, Unauthorized, Unavailable, WorkerError
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.report import REPORT_BACKOFF, Report
from iexec_worker.scheduler.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.model import Notification, ReplicateOffer, StatusUpdate, WorkerModel
    from iexec_worker.scheduler.api import Answer, SchedulerApi
    from iexec_worker.supervise import Backoff

T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Logins that one call may cause. The first may bring a dead token (one that expired, but that the
#: pool has not refused yet); the 401 on that one makes the pool forget it, the second is good.
LOGINS: Final = 2

#: Seconds for a whole login: everybody waits for it, and pings are 10 s apart.
LOGIN_LIMIT: Final = 8.0


class SignLogin(Protocol):
    """Signs the pool's challenge, as text, with our wallet: `0x` and 130 hex digits."""

    def __call__(self, challenge: str, /) -> str: ...


@attrs.frozen(eq=False)
class _Token:
    """A token by identity: the pool may give the same text again, and mean it or not."""

    text: str


@attrs.define(eq=False)
class Session:
    """
    The worker with *address*, talking to one pool through *api*.

    All calls raise `Unavailable` and `Rejected` (what, the text says; a refused login too), and
    `Unauthorized` when even fresh tokens are not accepted.
    """

    api: SchedulerApi
    address: str
    sign_login: SignLogin
    gate: Gate = attrs.field(factory=Gate)
    backoff: Backoff = REPORT_BACKOFF

    _token: _Token | None = attrs.field(default=None, init=False)
    _login_lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _login_error: WorkerError | None = attrs.field(default=None, init=False)
    _turns: Turns = attrs.field(factory=Turns, init=False)
    #: `trio.current_time()` of the last answer to an authorized call, for the log.
    _answered: float | None = attrs.field(default=None, init=False)

    async def ping(self) -> str:
        """Say that we are alive; returns the id of the pool's configuration."""
        return await self._authorized(self.api.ping)

    async def register(self, model: WorkerModel) -> None:
        await self._authorized(lambda token: self.api.register(token, model))

    async def computing(self) -> tuple[str, ...]:
        """Tasks of ours that the pool counts as computing."""
        return await self._authorized(self.api.computing)

    async def available(self, block: int) -> ReplicateOffer | None:
        """Ask for work, *block* being the latest we know; None: there is none now."""
        return await self._authorized(lambda token: self.api.available(token, block))

    async def interrupted(self, block: int) -> tuple[Notification, ...]:
        """What the pool still wants of us, task by task."""
        async with self._turns.asking():
            return await self._authorized(lambda token: self.api.interrupted(token, block))

    async def report(self, task_id: str, update: StatusUpdate, *, deadline: float) -> Answer:
        """
        Tell the pool one status, again and again until *deadline* (wall clock, seconds).

        Waits while the gate is closed. A cause that the pool does not know (400) is replaced by
        UNKNOWN, once. Raises `Unavailable` at the deadline, `Rejected` when repeating is useless.
        """
        report = Report(task_id, update, self.update, self.gate, self.backoff, self.last_answer)
        with trio.move_on_after(max(0.0, deadline - time.time())):
            return await report.deliver()
        why = report.problem or self._why_not_yet()
        raise Unavailable(f"{task_id}: {update.status} was not told in time: {why}")

    def _why_not_yet(self) -> str:
        return "no answer yet" if self.gate.is_open else "the link for notifications is down"

    async def update(self, task_id: str, update: StatusUpdate) -> Answer:
        """Tell one status, one try."""
        async with self._turns.telling():
            return await self._authorized(lambda token: self.api.update(token, task_id, update))

    def last_answer(self) -> str:
        """Say when the pool last answered, for a person."""
        if self._answered is None:
            return "never"
        return f"{trio.current_time() - self._answered:.0f} s ago"

    async def _authorized(self, call: Callable[[str], Awaitable[T]]) -> T:
        refused: _Token | None = None
        for left in reversed(range(1 + LOGINS)):
            token = await self._token_after(refused)
            try:
                result = await call(token.text)
            except Unauthorized:
                refused = token
                if not left:
                    raise
            else:
                self._answered = trio.current_time()
                return result
        raise AssertionError("the last try returns or raises")

    async def _token_after(self, refused: _Token | None) -> _Token:
        """Return a token other than *refused*. One login, good or bad, serves all who wait here."""
        if self._token is not None and self._token is not refused:
            return self._token
        failure = self._login_error
        async with self._login_lock:
            if self._token is not None and self._token is not refused:
                return self._token
            if self._login_error is not None and self._login_error is not failure:
                # Somebody tried while we waited; the queue behind us must not try one by one.
                raise self._login_error
            self._token = _Token(await self._login())
            return self._token

    async def _login(self) -> str:
        try:
            with trio.fail_after(LOGIN_LIMIT):
                challenge = await self.api.challenge(self.address)
                token = await self.api.login(self.address, self.sign_login(challenge))
        except trio.TooSlowError:
            self._login_error = Unavailable(f"{self.api.url}: no login within {LOGIN_LIMIT:g} s")
            raise self._login_error from None
        except Unauthorized as error:
            self._login_error = Rejected(
                f"{self.api.url}: login of {self.address} refused; the wallet is not on the pool's"
                " list (IEXEC_WORKERS_WHITELIST there), or its signature was not accepted"
            )
            raise self._login_error from error
        except WorkerError as error:
            self._login_error = error
            raise
        log.info("logged in", pool=self.api.url, wallet=self.address)
        return token
