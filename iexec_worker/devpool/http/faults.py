"""Faults of the pool's services that a test switches on, per endpoint and for so many calls."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from iexec_worker.devpool.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen
class Effect:
    """
    What happens to one request instead of, or before, what should.

    *delay* seconds pass first; *late* delays the answer instead, the request is handled at once.
    *hang*: never an answer. *reset*: the connection breaks; with *handled* only after the request
    was handled, so that just the answer is lost. *status*: that answer, and nothing is handled.
    """

    delay: float = 0.0
    late: float = 0.0
    hang: bool = False
    reset: bool = False
    handled: bool = False
    status: int | None = None
    body: bytes = b""
    content_type: str = "text/plain;charset=UTF-8"


@define(eq=False)
class Fault:
    """An effect that is switched on for the next *left* requests that match."""

    endpoint: str
    server: str | None
    effect: Effect
    left: float
    hits: int = 0
    _changes: Changes = field(factory=Changes)

    def off(self) -> None:
        """Switch it off; requests it holds already stay held."""
        self.left = 0

    async def hit(self, times: int = 1) -> None:
        """Wait until *times* requests met this fault."""
        await self._changes.until(lambda: self.hits >= times)

    def take(self) -> None:
        """Count one request."""
        self.left -= 1
        self.hits += 1
        self._changes.ring()


@frozen
class Endpoint:
    """What `Faults.on` gives: each method switches one fault on, for *times* calls or for good."""

    _faults: Faults
    _name: str
    _server: str | None

    def status(
        self,
        code: int,
        body: bytes = b"",
        *,
        content_type: str = "text/plain;charset=UTF-8",
        times: float = math.inf,
    ) -> Fault:
        """Answer *code* and *body* without doing anything."""
        return self._add(Effect(status=code, body=body, content_type=content_type), times)

    def body(
        self, body: bytes, *, content_type: str = "text/html", times: float = math.inf
    ) -> Fault:
        """Answer 200 with a wrong body without doing anything."""
        return self.status(200, body, content_type=content_type, times=times)

    def delay(self, seconds: float, *, times: float = math.inf) -> Fault:
        """Wait, then handle the request."""
        return self._add(Effect(delay=seconds), times)

    def delay_answer(self, seconds: float, *, times: float = math.inf) -> Fault:
        """Handle the request at once, answer later."""
        return self._add(Effect(late=seconds), times)

    def hang(self, *, times: float = math.inf) -> Fault:
        """Never answer, and do nothing."""
        return self._add(Effect(hang=True), times)

    def reset(self, *, times: float = math.inf) -> Fault:
        """Break the connection and do nothing."""
        return self._add(Effect(reset=True), times)

    def lose_answer(self, *, times: float = math.inf) -> Fault:
        """Handle the request, then break the connection instead of answering."""
        return self._add(Effect(reset=True, handled=True), times)

    def _add(self, effect: Effect, times: float) -> Fault:
        return self._faults.add(Fault(self._name, self._server, effect, times))


@define(eq=False)
class Faults:
    """All faults that are switched on; the oldest that matches a request decides."""

    _active: list[Fault] = field(factory=list, init=False)

    def on(self, endpoint: str, *, server: str | None = None) -> Endpoint:
        """
        Name an endpoint: method and path, `*` stands for anything.

        *server* restricts it to one service (`scheduler`, `result-proxy`, …) where several have
        that path.
        """
        return Endpoint(self, endpoint, server)

    def of(self, server: str) -> ServerFaults:
        """The faults of one service."""
        return ServerFaults(self, server)

    def add(self, fault: Fault) -> Fault:
        """Switch *fault* on."""
        self._active.append(fault)
        return fault

    def clear(self) -> None:
        """Switch everything off."""
        for fault in self._active:
            fault.off()

    def take(self, server: str, method: str, path: str) -> Effect | None:
        """The effect that a request meets, counted; None when nothing is wrong with it."""
        self._active = [fault for fault in self._active if fault.left > 0]
        for fault in self._matching(server, f"{method} {path}"):
            fault.take()
            return fault.effect
        return None

    def _matching(self, server: str, request: str) -> Iterator[Fault]:
        for fault in self._active:
            if fault.server in (None, server) and fnmatchcase(request, fault.endpoint):
                yield fault


@frozen
class ServerFaults:
    """Faults of one service, whatever others have the same path."""

    _faults: Faults
    _server: str

    def on(self, endpoint: str) -> Endpoint:
        """Name an endpoint, see `Faults.on`."""
        return self._faults.on(endpoint, server=self._server)
