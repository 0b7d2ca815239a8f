"""One task as its stages see it, and what of it must not be forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from iexec_worker.chain.calls import Kind
from iexec_worker.chain.transactions.signed import SignedTx
from iexec_worker.model import (
    Authorization,
    ChainReceipt,
    ComputedFile,
    ComputeLogs,
    StatusUpdate,
    TaskDescription,
)
from iexec_worker.tee.model import TeeState
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action, Cause, Status


@frozen
class Details:
    """What a stage that succeeded has to tell, beside its status."""

    exit_code: int | None = None
    compute_logs: ComputeLogs | None = None
    chain_receipt: ChainReceipt | None = None
    result_link: str | None = None
    chain_callback_data: str | None = None


def _is_signed(_: object, __: object, signed: dict[Kind, list[str]]) -> None:
    """Nothing may be taken for a transaction that is none: its nonce would be anything."""
    for text in chain.from_iterable(signed.values()):
        SignedTx.from_hex(text)


@define
class Record:
    """
    What must survive the process: one document of the journal per replicate.

    *action* is the step under way, None while waiting for the pool. *update* is the result of
    that step until the pool acknowledged it. *told* are the acknowledged statuses, in order;
    *held* are those that could not wait for the pool, which hears them before any other.
    *transactions* maps what they do to the hash last broadcast, *signed* to the transactions
    themselves, in hex: all versions with its nonce, the latest last. *final_deadline* is the
    chain's, 0 until it was read.

    *tee* is what a trusted task was given at its start; *exit_causes* are what its `pre`- and
    `post`-compute said of their failure.

    *lost*: an earlier document could not be read, and what it held has to be found out again.
    *offer_lost*: neither that nor the pool's offer is known, only what the pool repeats of it.
    *recomputing*: our contribution stands and its result is gone, so it is made again.
    """

    authorization: Authorization
    sms_url: str | None = None
    action: Action | None = None
    update: StatusUpdate | None = None
    told: list[Status] = field(factory=list)
    consensus_block: int = 0
    computed: ComputedFile | None = None
    transactions: dict[Kind, str] = field(factory=dict)
    held: list[StatusUpdate] = field(factory=list)
    final_deadline: int = 0
    lost: bool = False
    recomputing: bool = False
    signed: dict[Kind, list[str]] = field(factory=dict, validator=_is_signed)
    tee: TeeState | None = field(default=None, repr=False)
    exit_causes: dict[str, list[Cause]] = field(factory=dict)
    offer_lost: bool = False


@frozen
class Folder:
    """The places of one task; the same path on the host and in the worker's container."""

    root: Path

    @property
    def input(self) -> Path:
        """Bound to `/iexec_in`."""
        return self.root / "input"

    @property
    def output(self) -> Path:
        """Holds `iexec_out`, its archive and the copy of computed.json."""
        return self.root / "output"

    @property
    def iexec_out(self) -> Path:
        """Bound to `/iexec_out`: the app writes here, so nothing in it is to be trusted."""
        return self.output / "iexec_out"

    @property
    def archive(self) -> Path:
        """The zip of `iexec_out`."""
        return self.output / "iexec_out.zip"

    @property
    def journal(self) -> Path:
        """The record of this replicate; outside of what the app can reach."""
        return self.root / "journal.json"


@define(eq=False)
class Task:
    """
    One task of ours. Owned by its replicate's Trio task; stages read it and write *record*.

    *save* makes the record durable: a stage awaits it before anything that must not be done
    twice. It raises nothing: on a full disk it takes until there is room.
    """

    record: Record
    folder: Folder
    node: Node
    save: Callable[[], Awaitable[None]]
    _description: TaskDescription | None = None

    @property
    def id(self) -> str:
        """The chain task id."""
        return self.record.authorization.chain_task_id

    @property
    def authorization(self) -> Authorization:
        """The pool's permission."""
        return self.record.authorization

    @property
    def known(self) -> bool:
        """True once the description was read from the chain."""
        return self._description is not None

    @property
    def description(self) -> TaskDescription:
        """What the chain says of the task; only after `describe_as`."""
        assert self._description is not None, "the description is read before any stage runs"
        return self._description

    def describe_as(self, description: TaskDescription) -> None:
        """Set the description, once."""
        self._description = description


class Stage(Protocol):
    """
    A step of a task.

    Raises `StageFailed` when the step ends the task, `Transient` errors of its clients when it
    could not be tried.
    """

    async def __call__(self, task: Task) -> Details: ...


@frozen
class ByTrust:
    """A step that trusted tasks do in another way than standard ones."""

    standard: Stage
    trusted: Stage

    async def __call__(self, task: Task) -> Details:
        trusted = task.description.tee_framework is not None
        return await (self.trusted if trusted else self.standard)(task)
