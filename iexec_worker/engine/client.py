"""The engine, reached through the docker SDK in threads that end with their scope."""

from __future__ import annotations

import math
import struct
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, TypeVar

import outcome
import trio
from docker import APIClient
from docker.errors import APIError, DockerException, StreamParseError
from requests import RequestException
from urllib3.exceptions import HTTPError

from iexec_worker.engine import line
from iexec_worker.errors import EngineRefused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CALL_TIMEOUT: Final = 60
"""Seconds without a byte after which a short call fails: creating a container on a busy disk takes
several, and an engine that is frozen must be told from one that is slow."""

CALL_GRACE: Final = 1.0
"""Seconds that a cancelled short call may go on: creating or starting a container is not left in
the middle, and cancellation still leaves time to remove it within two."""

SERVER_ERROR: Final = 500

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"

_OLDEST: Final = "1.24"
"""The API's version to ask an unknown engine in; only its version is asked."""

# What the SDK lets through when a connection ends in the middle of something.
_BROKEN: Final = (
    RequestException,
    HTTPError,
    HTTPException,
    DockerException,
    StreamParseError,
    OSError,
    struct.error,
)


class Engine:
    """
    The engine at *host*, a `unix://` or `tcp://` URL, None for the usual socket.

    At most *threads* short calls run at once; streams (pull, wait, logs) do not count, so that
    long ones never keep the short ones waiting.

    Every call raises `EngineRefused` when the engine says no, and `Unavailable` when it answers
    with a failure of its own, breaks off or is not there.
    """

    def __init__(self, host: str | None, *, threads: int = 16) -> None:
        self._host = host or DEFAULT_HOST
        self._client: APIClient | None = None
        self._calls = trio.CapacityLimiter(threads)
        self._streams = trio.CapacityLimiter(math.inf)

    async def call(self, function: Callable[[APIClient], T]) -> T:
        """
        Run a short *function* of the SDK's client in a thread.

        Cancelled, it may end within `CALL_GRACE`; then its connections are cut. It returns (by
        raising `Cancelled`) when the thread has ended.
        """
        return await self._run(function, self._calls, CALL_GRACE)

    async def stream(self, function: Callable[[APIClient], T]) -> T:
        """Run a *function* that may block for hours; cancelled, its connections are cut at once."""
        return await self._run(function, self._streams, 0.0)

    async def version(self) -> str:
        """Return the engine's version, as a person knows it."""
        return str((await self.call(lambda api: api.version()))["Version"])

    async def ping(self) -> None:
        """Return if the engine answers."""
        await self.call(lambda api: api.ping())

    async def aclose(self) -> None:
        """Forget the connections; no call may run any more."""
        if self._client is not None:
            self._client.close()
        await trio.lowlevel.checkpoint()

    async def _run(
        self, function: Callable[[APIClient], T], limiter: trio.CapacityLimiter, grace: float
    ) -> T:
        own = line.Line()
        done = trio.Event()
        # An outcome, because an error that leaves a nursery would leave it in a group.
        work = partial(outcome.capture, self._answer, function, own)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cut_when_cancelled, own, done, grace)
            try:
                result = await trio.to_thread.run_sync(
                    work, limiter=limiter, thread_name=f"engine call {id(own):x}"
                )
            finally:
                done.set()
            nursery.cancel_scope.cancel()
        return result.unwrap()

    def _answer(self, function: Callable[[APIClient], T], own: line.Line) -> T:
        # Trio gives each thread a copy of the context: this is seen by this call only.
        line.current.set(own)
        try:
            return function(self._connected())
        except APIError as error:
            raise refusal(error) from error
        except _BROKEN as error:
            # What comes back may be another version of the engine, which is asked anew.
            self._client = None
            raise Unavailable(
                f"container engine {self._host}: no usable answer ({_innermost(error)}); "
                "is it running, and may this user reach it?"
            ) from error

    def _connected(self) -> APIClient:
        # Calls that come together may each ask for the version to speak, and the last one's client
        # is kept. No lock: who waits for one cannot be cut, and an engine may never answer.
        client = self._client
        if client is None:
            self._client = client = connect(self._host)
        return client


def connect(host: str) -> APIClient:
    """Make a client that speaks the engine's version of the API. Blocks; needs a `Line`."""
    with _client(host, _OLDEST) as probe:
        version = probe.version(api_version=False)["ApiVersion"]
    return _client(host, version)


def refusal(error: APIError) -> EngineRefused | Unavailable:
    """Translate the SDK's *error* into the reaction it deserves."""
    text = error.explanation or str(error)
    if error.response is not None and error.response.status_code >= SERVER_ERROR:
        return Unavailable(f"container engine: {text}")
    return EngineRefused(f"container engine: {text}")


def _innermost(error: BaseException) -> str:
    """What went wrong at the bottom: the layers above only repeat it with URLs and pools."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return str(error) or type(error).__name__


def _client(host: str, version: str) -> APIClient:
    client = APIClient(base_url=host, version=version, timeout=CALL_TIMEOUT)
    client.mount(client.base_url, line.LineAdapter(line.dialer(host)))
    client.headers["Connection"] = "close"
    # Neither the environment's proxies nor its netrc are meant for the engine.
    client.trust_env = False
    return client


async def _cut_when_cancelled(own: line.Line, done: trio.Event, grace: float) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(grace, shield=True):
            await done.wait()
        own.cut()
