"""A deal's URLs in a whole worker: none of them gets past the guard."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from iexec_worker.transport import USER_AGENT
from iexec_worker.wire import Status
from tests.inputs.conftest import Origin, redirect
from tests.integration.shop import Order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency
    from tests.integration.shop import Ended, Shop

#: The pool of a lab allows its own host, 127.0.0.1: this one is still private.
PRIVATE = "127.0.0.2"


@asynccontextmanager
async def listening(server: Origin, host: str) -> AsyncIterator[str]:
    """Serve on *host*; yields the URL."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, server.handle, 0, host=host))
        server.port = listener.socket.getsockname()[1]
        yield f"http://{host}:{server.port}"
        nursery.cancel_scope.cancel()


async def test_no_url_of_a_deal_reaches_a_private_host(
    pool: Pool, shop: Shop, agency: Agency
) -> None:
    private, origin = Origin(), Origin()
    async with listening(private, PRIVATE) as secret, listening(origin, "127.0.0.1") as allowed:
        origin.answers["/"] = redirect(secret)
        worker = await agency.start(slots=4)
        told: dict[str, str | None] = {}

        async def run(name: str, status: Status, order: Order) -> None:
            ended: Ended = await shop.over(await shop.buy(order), worker.wallet)
            told[name] = ended.cause(status)

        wanted = {
            "proxy": ("iexec_result_storage_proxy", secret),
            "input": ("iexec_input_files", [secret]),
            "redirect": ("iexec_input_files", [allowed]),
            "file": ("iexec_input_files", ["file:///etc/passwd"]),
        }
        with trio.fail_after(90):
            async with trio.open_nursery() as nursery:
                for name, more in wanted.items():
                    failed = (
                        Status.RESULT_UPLOAD_FAILED
                        if name == "proxy"
                        else Status.DATA_DOWNLOAD_FAILED
                    )
                    nursery.start_soon(run, name, failed, Order(more=(more,)))
        assert told == {
            "proxy": "RESULT_LINK_MISSING",
            "input": "INPUT_FILES_DOWNLOAD_FAILED",
            "redirect": "INPUT_FILES_DOWNLOAD_FAILED",
            "file": "INPUT_FILES_DOWNLOAD_FAILED",
        }
        assert len(origin.requests) == 1
        # The pool looks for the result there: it has no guard, and is not what is tested.
        assert not any(USER_AGENT in head for head in private.requests)
