"""A slow line to a server on this machine: what a pull sees of a bad network."""

from __future__ import annotations

from typing import Final

import trio

#: Bytes that a stalling line lets through per connection: more than any manifest has.
_STALL_AFTER: Final = 65_536


async def serve_slowly(
    upstream: int,
    rate: float,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Relay to port *upstream*, answers at *rate* bytes per second altogether; starts with its port.

    With rate 0 an answer stops after its first 64 KiB and never goes on: a pull that stalls.
    """

    async def relay(client: trio.SocketStream) -> None:
        async with (
            client,
            await trio.open_tcp_stream("127.0.0.1", upstream) as server,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_copy, client, server)
            await _drip(server, client, rate)
            nursery.cancel_scope.cancel()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(relay, listeners)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for chunk in source:
            await sink.send_all(chunk)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # The other direction sees it too, and ends the connection.
        return


async def _drip(source: trio.SocketStream, sink: trio.SocketStream, rate: float) -> None:
    sent = 0
    try:
        async for chunk in source:
            await sink.send_all(chunk)
            sent += len(chunk)
            if rate:
                await trio.sleep(len(chunk) / rate)
            elif sent >= _STALL_AFTER:
                await trio.sleep_forever()
    except trio.BrokenResourceError:
        return
