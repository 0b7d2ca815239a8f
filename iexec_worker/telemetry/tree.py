"""The supervision tree as data: what each part is doing or waiting for, in one line."""

from __future__ import annotations

import enum
import time
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    import attrs
    import trio

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class State(enum.StrEnum):
    """Where a part of the tree is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPED = "stopped"


def _told(node: Node, _: attrs.Attribute[str], doing: str) -> str:
    """Log what a part does now; that it does nothing any more its state says."""
    if doing and doing != node.doing:
        log.debug("doing", part=node.name, doing=doing)
    return doing


@define(eq=False)
class Node:
    """
    One part of the tree. Written by the task it stands for and by its supervisor, read by all.

    *since* is wall-clock seconds of the last change of *state*; *doing* is for a person:
    what happens now, or what is waited for. Its changes are in the log, for those who debug.
    """

    name: str
    state: State = State.STARTING
    since: float = field(factory=time.time)
    restarts: int = 0
    last_error: str = ""
    doing: str = field(default="", on_setattr=_told)
    children: dict[str, Node] = field(factory=dict)
    #: What cancels the life that runs now; its supervisor's. None between lives and at the end.
    _life: trio.CancelScope | None = field(init=False, default=None, repr=False)

    @property
    def interruptible(self) -> bool:
        """True while the part runs under a supervisor who would start it again."""
        return self._life is not None

    def interrupt(self) -> bool:
        """
        Cut the life that runs now, from any task of the same Trio run; False when there is none.

        For its supervisor that is a failure like any other: counted, logged, answered by the
        policy. Everything below the node ends first, cleanly.
        """
        if self._life is None:
            return False
        self._life.cancel()
        return True

    @contextmanager
    def living(self, scope: trio.CancelScope) -> Iterator[None]:
        """Be interruptible through *scope* for as long as the block runs; it is `PART` there."""
        self._life = scope
        token = PART.set(self)
        try:
            yield
        finally:
            PART.reset(token)
            self._life = None

    def enter(self, state: State) -> None:
        """Change to *state*; the clock of *since* starts again."""
        self.state = state
        self.since = time.time()

    @contextmanager
    def adopted(self, node: Node) -> Iterator[Node]:
        """Have *node* as a child for as long as the block runs."""
        self.children[node.name] = node
        try:
            yield node
        finally:
            # A successor of the same name may have taken the place already.
            if self.children.get(node.name) is node:
                del self.children[node.name]

    def child(self, name: str) -> AbstractContextManager[Node]:
        """Have a new child for as long as the block runs."""
        return self.adopted(Node(name))

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Node]]:
        """Every node below and including this one with its path, parents first."""
        path = f"{prefix}/{self.name}" if prefix else self.name
        yield path, self
        for node in list(self.children.values()):
            yield from node.walk(path)

    def snapshot(self) -> dict[str, Any]:
        """Return the tree from here down as plain JSON values."""
        return {
            "name": self.name,
            "state": self.state.value,
            "since": self.since,
            "restarts": self.restarts,
            "lastError": self.last_error,
            "doing": self.doing,
            "children": [node.snapshot() for node in list(self.children.values())],
        }


#: The innermost supervised part that a task belongs to; inherited from the task that started it.
PART: Final[ContextVar[Node | None]] = ContextVar("PART", default=None)
