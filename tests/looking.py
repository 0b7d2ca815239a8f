"""Waiting for what can only be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOK_EVERY: Final = 0.02


async def until(probe: Callable[[], Awaitable[bool]], *, limit: float = 15.0) -> None:
    """Wait until *probe* says True; raises TooSlowError after *limit* seconds."""
    with trio.fail_after(limit):
        while not await probe():  # noqa: ASYNC110  # processes, nodes and folders set no event here
            await trio.sleep(_LOOK_EVERY)
