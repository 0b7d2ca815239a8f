"""Folders that are there for a time."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def scratch(*folders: Path) -> AsyncIterator[None]:
    """Remove *folders* when the scope ends, also when it is cancelled; what resists is left."""
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            for folder in folders:
                await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
