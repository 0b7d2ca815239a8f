"""Serving an application with Hypercorn for as long as the worker lives."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import frozen
from hypercorn.config import Config

from iexec_worker.errors import Fatal
from iexec_worker.server.connections import Connections

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
    from quart_trio import QuartTrio


@frozen
class Limits:
    """
    What one client may take, and how long a stop may take.

    *keep_alive*: seconds a connection may be idle, and a request's head may take to arrive.
    *send*: seconds a client may leave an answer unread. *grace*: seconds that requests under
    way have when the server stops; the stop takes at most *grace* + *send* and a little.
    *connections*: of all clients at a time; one more pushes out an old one.
    """

    connections: int = 128
    head_bytes: int = 16 * 1024
    keep_alive: float = 5.0
    send: float = 5.0
    grace: float = 3.0


async def run(
    app: QuartTrio,
    *,
    bind: str,
    port: int,
    limits: Limits = Limits(),
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Serve *app* at the address *bind* and *port*; 0 takes any free port.

    Calls `started` with the URL once connections are accepted. Raises `Fatal` when the address
    cannot be taken. Installs no signal handlers. When cancelled it accepts nothing more, lets
    requests under way end within *limits*.grace, and only then ends.
    """
    stopped = trio.Event()
    with _listen(bind, port, limits) as sock:
        connections = Connections(_Whole(app), _config(limits), limits.connections)
        serving = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            try:
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                await nursery.start(partial(_serve, connections, listener, serving, stopped))
                task_status.started(_url(sock))
                await trio.sleep_forever()
            finally:
                # Connections keep to the grace; the second more is for when one does not.
                stopped.set()
                serving.deadline = trio.current_time() + limits.grace + 1


async def _serve(
    connections: Connections,
    listener: trio.SocketListener,
    scope: trio.CancelScope,
    stopped: trio.Event,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    with scope:
        await connections.serve(listener, stopped, task_status=task_status)


def _url(sock: socket.socket) -> str:
    host, port, *_ = sock.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@frozen
class _Whole:
    """
    *app* with sends that are not cancelled.

    What Hypercorn does at the end of an answer tells the application that the request is over, and
    Quart then cancels the very send that this is part of: the connection would not be watched any
    more, so that it stayed for ever when idle, and a stop waited for it. Sends end by themselves:
    Hypercorn shields the writing, and the kernel bounds it.
    """

    app: QuartTrio

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        async def whole(message: ASGISendEvent) -> None:
            with trio.CancelScope(shield=True):
                await send(message)

        await self.app(scope, receive, whole)


def _listen(bind: str, port: int, limits: Limits) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        listener = socket.create_server((bind, port), family=family)
    except OSError as error:
        raise Fatal(
            f"cannot listen on {bind} port {port}: {error.strerror}; set IEXEC_WORKER_PORT to a "
            "free port, or IEXEC_WORKER_BIND_ADDRESS to an address of this machine"
        ) from error
    # Hypercorn shields its sends. Connections inherit this: the kernel ends one whose peer
    # leaves data unread for so long, so that a client who never reads cannot hold up a stop.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(limits.send * 1000))
    return listener


def _config(limits: Limits) -> Config:
    config = Config()
    # No access log. Errors go where all of the standard library's logging goes.
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.keep_alive_timeout = limits.keep_alive
    config.graceful_timeout = limits.grace
    # Nobody speaks WebSocket here; what Hypercorn takes before it has said so is bounded.
    config.websocket_max_message_size = limits.head_bytes
    return config
