"""What workers asked and were answered, for whoever wants to prove something about it."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from iexec_worker.devpool.changes import Changes
from iexec_worker.wire import Action, Status

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Requests are kept whole up to here; result archives would fill the memory.
_BODY_LIMIT: Final = 65536


@define(eq=False)
class Exchange:
    """One request as it came in. *status* is None until answered, and when it never was."""

    server: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    at: float = field(factory=time.time)
    status: int | None = None
    answered_at: float | None = None
    body: bytearray = field(factory=bytearray)

    def keep(self, chunk: bytes) -> None:
        """Append to the body, up to a limit."""
        self.body += chunk[: _BODY_LIMIT - len(self.body)]

    def matches(self, endpoint: str) -> bool:
        """True iff *endpoint* (`POST /replicates/*/updateStatus`) means this request."""
        return fnmatchcase(f"{self.method} {self.path}", endpoint)


@frozen
class Told:
    """One status a worker told of a replicate, and what the scheduler made of it."""

    chain_task_id: str
    wallet: str
    status: Status
    details: dict[str, Any]
    code: int
    action: Action | None
    at: float = field(factory=time.time)

    @property
    def cause(self) -> str | None:
        """The cause given, if any."""
        cause: str | None = self.details.get("cause")
        return cause

    @property
    def accepted(self) -> bool:
        """True iff the scheduler recorded the status."""
        return self.code == 200

    @property
    def known(self) -> bool:
        """True iff the scheduler had recorded it already."""
        return self.code == 208


@define(eq=False)
class Record:
    """Everything the pool's services were asked, in order."""

    exchanges: list[Exchange] = field(factory=list, init=False)
    told: list[Told] = field(factory=list, init=False)
    _changes: Changes = field(factory=Changes, init=False)

    def begin(self, exchange: Exchange) -> None:
        """Add a request."""
        self.exchanges.append(exchange)
        self._changes.ring()

    def answered(self, exchange: Exchange, status: int) -> None:
        """Note the answer to a request."""
        exchange.status, exchange.answered_at = status, time.time()
        self._changes.ring()

    def tell(self, told: Told) -> None:
        """Add a status update."""
        self.told.append(told)
        self._changes.ring()

    def calls(self, endpoint: str) -> list[Exchange]:
        """The requests to *endpoint*, such as `GET /replicates/available`."""
        return [e for e in self.exchanges if e.matches(endpoint)]

    def statuses(self, chain_task_id: str, wallet: str | None = None) -> list[Status]:
        """The statuses that were told of a task and accepted, in order."""
        return [told.status for told in self.updates(chain_task_id, wallet) if told.accepted]

    def updates(self, chain_task_id: str, wallet: str | None = None) -> list[Told]:
        """All updates of a task, those refused too."""
        return list(self._updates(chain_task_id, wallet))

    async def until_called(self, endpoint: str, times: int = 1) -> Exchange:
        """Wait until *endpoint* was asked so often, and return that request."""
        await self._changes.until(lambda: len(self.calls(endpoint)) >= times)
        return self.calls(endpoint)[times - 1]

    async def until_told(
        self, chain_task_id: str, status: Status, wallet: str | None = None
    ) -> Told:
        """Wait until a worker told *status* of a task and it was accepted."""
        return await self._changes.until(
            lambda: next(
                (
                    t
                    for t in self._updates(chain_task_id, wallet)
                    if t.status is status and t.accepted
                ),
                None,
            )
        )

    async def until_over(self, chain_task_id: str, wallet: str) -> Told:
        """Wait until a worker told that a task is over for it, also if the scheduler refused."""
        over = (Status.COMPLETED, Status.ABORTED)
        return await self._changes.until(
            lambda: next(
                (t for t in self._updates(chain_task_id, wallet) if t.status in over), None
            )
        )

    def _updates(self, chain_task_id: str, wallet: str | None) -> Iterator[Told]:
        for told in self.told:
            if told.chain_task_id == chain_task_id and wallet in (None, told.wallet):
                yield told
