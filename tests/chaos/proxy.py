"""A result proxy in memory, as the worker's HTTP client and the scheduler see it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Final

import httpx
from attrs import define, field

from iexec_worker.model import ContributionStatus
from tests.chaos.contracts import TASK

if TYPE_CHECKING:
    from tests.chaos.contracts import Contracts

#: Where on IPFS the result is.
HASH: Final = "QmResult"
_SIGNED: Final = "a.b.c"


@define(eq=False)
class Proxy:
    """
    Takes the result of a revealed contribution, once.

    *refusing*: how many uploads are refused before one is taken.
    """

    contracts: Contracts
    wallet: str
    refusing: float = 0
    uploads: int = 0
    _stored: dict[str, bytes] = field(factory=dict)

    async def stored(self, task_id: str, proxy: str, challenge: str) -> bool:
        """Answer the scheduler (`devpool.scheduler.ports.Results`)."""
        return task_id in self._stored

    def keep(self) -> None:
        """Keep what an enclave of a trusted task hands over."""
        self._stored[TASK] = b""

    def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Serve one request of the worker."""
        match request.method, request.url.path.removeprefix("/v1/results"):
            case "POST", "/token":
                return httpx.Response(200, text=_SIGNED)
            case "POST", "":
                return httpx.Response(self._take(json.loads(body)))
            case "HEAD", _:
                return httpx.Response(200 if TASK in self._stored else 404)
            case "GET", path if path.endswith("/ipfshash"):
                known = TASK in self._stored
                return httpx.Response(200, text=HASH) if known else httpx.Response(404)
        return httpx.Response(405)

    def _take(self, model: dict[str, str]) -> int:
        self.uploads += 1
        if self.refusing:
            self.refusing -= 1
            return 401
        revealed = self.contracts.of(self.wallet).status is ContributionStatus.PROVED
        if TASK in self._stored or not revealed or self._digest(model) != self.contracts.digest:
            return 401
        self._stored[TASK] = base64.b64decode(model["zip"])
        return 200

    def _digest(self, model: dict[str, str]) -> str:
        """Return the digest of what the archive has: what was contributed must be in it."""
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(model["zip"]))) as archive:
            path = json.loads(archive.read("computed.json"))["deterministic-output-path"]
            content = archive.read(path.removeprefix("/iexec_out/"))
        return "0x" + hashlib.sha256(content).hexdigest()
