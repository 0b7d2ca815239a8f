"""
What belongs to one life of a worker, and what is left of a life that was killed: nothing.

A process that is killed runs no `finally`. Its tasks here do, so that whatever reaches out of
them (requests, the engine, threads) asks `breathe` first, which raises in a life that is dead.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


class Killed(BaseException):
    """Raised in what is still run of a killed life; nothing in a worker may catch it."""


@define(eq=False)
class Mortal:
    """One life; its tasks inherit it as `LIFE`."""

    dead: bool = False


LIFE: Final[ContextVar[Mortal | None]] = ContextVar("LIFE", default=None)


#: Set in tasks that only look at the world again and again: no point of a sweep is there.
WATCHING: Final[ContextVar[bool]] = ContextVar("WATCHING", default=False)


def watching(service: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return *service* as one of those that watch; it has a task of its own."""

    async def run(*args: object, **more: object) -> Any:  # noqa: ANN401 - whatever it returns
        WATCHING.set(True)
        return await service(*args, **more)

    return run


def breathe() -> None:
    """Raise `Killed` when the life this task belongs to is over."""
    life = LIFE.get()
    if life is not None and life.dead:
        raise Killed


@contextmanager
def outside() -> Iterator[None]:
    """Tasks started in this block belong to no life: what a server does goes on by itself."""
    token = LIFE.set(None)
    try:
        yield
    finally:
        LIFE.reset(token)
