"""A host that stands for everything an enclave talks to: SMS, gateway, result proxy and worker."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY: Final = "0x" + 64 * "1"
TASK: Final = "0x" + 32 * "ab"
#: Its checksum form, as an SMS gives it.
WORKER: Final = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


@frozen
class Asked:
    """A request that was made."""

    path: str
    authorization: str | None
    body: Any


@define(eq=False)
class Host:
    """*files* by path are served; what is posted is kept, and answered with *status*."""

    port: int
    files: dict[str, bytes] = field(factory=dict)
    asked: list[Asked] = field(factory=list)
    status: int = 200

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, path: str, content: bytes) -> str:
        """Serve *content*; returns the URL."""
        self.files[path] = content
        return f"http://{self.place}{path}"

    def signing(self) -> dict[str, str]:
        """The variables of a session of the 9.x stack to sign with, and where the worker is."""
        return {
            "IEXEC_TASK_ID": TASK,
            "SIGN_WORKER_ADDRESS": WORKER,
            "SIGN_TEE_CHALLENGE_PRIVATE_KEY": KEY,
            "WORKER_HOST_ENV_VAR": self.place,
        }


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as running:
        yield running


@contextmanager
def serving() -> Iterator[Host]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = found.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append(
                Asked(self.path, self.headers.get("Authorization"), json.loads(body))
            )
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(b"/ipfs/Qm")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Host(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a container: its input and its output."""
    for name in ("iexec_in", "iexec_out"):
        (tmp_path / name).mkdir()
    return tmp_path
