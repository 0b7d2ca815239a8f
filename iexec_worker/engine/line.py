"""
Connections to the engine that another thread can cut.

A call of the docker SDK blocks its thread in a socket: for a pull or a wait, for hours. Python
cannot stop a thread, but a socket that is shut down ends any `recv` on it at once; the engine sees
the connection end, too, and stops what it did for it (a pull). The SDK hides its sockets, the more
so before an answer's headers have come. So they are opened here, one per request (the client sends
`Connection: close`), and entered in the `Line` of the call whose thread opens them.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT: Final = 10.0
"""Seconds: the engine is on this machine or next to it."""

_POOL_SIZE: Final = 256
"""Kept connection objects (closed ones); more than ever run at once, or urllib3 warns."""


class Line:
    """The sockets that one call has open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._cut = False

    def enter(self, sock: socket.socket) -> None:
        """Take *sock* in. Raises `ConnectionAbortedError` when the line was cut already."""
        with self._lock:
            if self._cut:
                raise ConnectionAbortedError("the call was given up")
            self._sockets.append(sock)

    def cut(self) -> None:
        """End whatever reads or writes on it, now and from now on. Any thread may do it."""
        with self._lock:
            self._cut = True
            for sock in self._sockets:
                # It may have been closed long ago, or never have been connected.
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


current: Final[ContextVar[Line]] = ContextVar("line")
"""The line of the call that runs in this thread."""


def dialer(url: str) -> Callable[[], socket.socket]:
    """Return what connects to the engine at *url* (`unix:///path`, else `tcp://host:port`)."""
    parts = urlsplit(url)

    def dial() -> socket.socket:
        if parts.scheme == "unix":
            return _connect(socket.AF_UNIX, parts.netloc + parts.path)
        return _dial_tcp(parts.hostname, parts.port)

    return dial


def _dial_tcp(host: str | None, port: int | None) -> socket.socket:
    failure = OSError(f"{host} has no address")
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return _connect(family, address)
        except OSError as error:
            failure = error
    raise failure


def _connect(family: int, address: str | tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family)
    try:
        # Before it connects: a host that drops packets would hold a cancelled call otherwise.
        current.get().enter(sock)
        sock.settimeout(CONNECT_TIMEOUT)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, dial: Callable[[], socket.socket], **kwargs: Any) -> None:  # noqa: ANN401  # urllib3's
        super().__init__(*args, **kwargs)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        try:
            return self._dial()
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class LineAdapter(HTTPAdapter):
    """Sends the requests of a `requests` session over sockets of *dial*, whatever their URL."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        super().__init__()
        self._pool = _Pool("localhost", maxsize=_POOL_SIZE, dial=dial)

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        """Return the one pool there is: neither proxies nor certificates play a part."""
        return self._pool

    def close(self) -> None:
        """Drop the pool, with the session."""
        super().close()
        self._pool.close()
