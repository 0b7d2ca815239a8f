"""The secret management service (SMS) of one TEE framework, and where its enclaves get secrets."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field
from eth_account import Account

from iexec_worker.devpool.chain.hashing import signed_prefixed
from iexec_worker.devpool.chain.tags import numbers
from iexec_worker.devpool.permits import Permit
from iexec_worker.devpool.tee import execution
from iexec_worker.devpool.tee.environments import NoSession
from iexec_worker.devpool.tee.properties import VERSIONS, Properties
from iexec_worker.devpool.tee.sessions import Sessions
from iexec_worker.devpool.tee.vault import Vault
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from iexec_worker.devpool.http.faults import Fault, ServerFaults
    from iexec_worker.devpool.ipfs import Ipfs
    from iexec_worker.devpool.tee.execution import Chain
    from iexec_worker.devpool.tee.sessions import Session

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

SESSIONS: Final = "POST /tee/sessions"

#: Of errors that begin so, the status is 401; of all others 500.
_UNAUTHORIZED: Final = ("INVALID_AUTHORIZATION", "EXECUTION_NOT_AUTHORIZED_")


@define(eq=False, kw_only=True)
class Sms:
    """
    One SMS. It keeps one enclave key per task, and secrets in its *vault*.

    *properties* by the framework's version may be changed at any time; before 9.0 only the first
    counts. *url* is where workers find it; *provisioning_url* is what they are told of where
    enclaves get their secrets, `host:port`, for TDX a URL.
    """

    framework: TeeFramework
    chain: Chain
    files: Ipfs
    faults: ServerFaults
    version: str = "9.3.1"
    properties: dict[str, Properties] = field()
    vault: Vault = field(factory=Vault, init=False)
    url: str = field(default="", init=False)
    provisioning_url: str = field(default="", init=False)
    sessions: Sessions = field(init=False)
    _keys: dict[str, str] = field(factory=dict, init=False, repr=False)

    @properties.default
    def _properties(self) -> dict[str, Properties]:
        return {VERSIONS[self.framework]: Properties()}

    def __attrs_post_init__(self) -> None:
        self.sessions = Sessions(self.framework, self.numbers, self.chain, self.vault, self.files)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The SMS's own version."""
        return numbers(self.version)

    def enclave_key(self, task_id: str) -> str:
        """The private key with which the enclaves of a task sign; KeyError before its challenge."""
        return self._keys[task_id]

    def refuse_sessions(self, error: str, *, times: float = math.inf) -> Fault:
        """Answer the next requests for a session with *error*, an SMS's name for what is wrong."""
        return self.faults.on(SESSIONS).status(
            status_of(error), refusal(error), content_type="application/json", times=times
        )

    def forget(self) -> None:
        """Lose all keys, secrets and sessions, as a server with an empty database."""
        self._keys.clear()
        self.vault.forget()
        self.sessions.known.clear()

    async def challenge(self, task_id: str, signature: str) -> str | None:
        """The address of a task's enclave key, made now or known; None: not asked by its pool."""
        # The scheduler signs as if it permitted itself, with nobody's wallet and no challenge.
        permit = Permit("", task_id, "", signature)
        refused = await execution.refuse(self.chain, permit, self.numbers)
        if refused is not None:
            log.info("challenge refused", task=task_id, reason=refused)
            return None
        if task_id not in self._keys:
            self._keys[task_id] = "0x" + Account.create().key.hex().removeprefix("0x")
        return str(Account.from_key(self._keys[task_id]).address).lower()

    async def open_session(self, permit: Permit | None, signature: str) -> Session:
        """Open a session for the worker that signed its *permit*; raises NoSession."""
        if permit is None or not signed_prefixed(permit.hash, signature, permit.wallet):
            raise NoSession("INVALID_AUTHORIZATION")
        if error := await execution.refuse(self.chain, permit, self.numbers):
            raise NoSession(f"EXECUTION_NOT_AUTHORIZED_{error}")
        key = self._keys.get(permit.chain_task_id, "")
        return await self.sessions.open(permit, key, self.properties)


def status_of(error: str) -> int:
    """The status of the answer that refuses a session with *error*."""
    return 401 if error.startswith(_UNAUTHORIZED) else 500


def refusal(error: str) -> bytes:
    """The body of that answer."""
    return json.dumps({"error": error}).encode()
