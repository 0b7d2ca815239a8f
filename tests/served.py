"""An app of a test's, on a port of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from quart_trio import QuartTrio


@asynccontextmanager
async def served(app: QuartTrio) -> AsyncIterator[str]:
    """Serve *app* on loopback for the time of the scope; gives its URL."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(
            partial(serve, app, config, shutdown_trigger=trio.sleep_forever)
        )
        yield url
        nursery.cancel_scope.cancel()
