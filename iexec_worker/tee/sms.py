"""The SMS's HTTP API: one request per question, never repeated here."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar
from urllib.parse import quote, urlencode

from attrs import frozen
from eth_hash.auto import keccak as keccak_bytes

from iexec_worker.chain.commitments import concat_and_hash, keccak
from iexec_worker.errors import Rejected, Unavailable
from iexec_worker.foreign import ForeignService, authorization_body
from iexec_worker.tee import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.foreign import Answer
    from iexec_worker.model import Authorization, TeeFramework
    from iexec_worker.tee.model import Services, TeeSession
    from iexec_worker.wire import Cause

T = TypeVar("T")

_DOMAIN: Final = keccak(b"IEXEC_SMS_DOMAIN")

#: What may stand in a path: an app's owner chooses the version.
_VERSION: Final = re.compile(r"(?!\.+\Z)[\w.+-]{1,100}", re.ASCII)


class SessionRefused(Rejected):
    """Raised when the SMS makes no session; *cause* is what the pool is told."""

    def __init__(self, cause: Cause, message: str) -> None:
        self.cause = cause
        super().__init__(message)


def secret_challenge(owner: str, name: str, value: str) -> str:
    """Return what *owner* signs, with the prefix, to store the web2 secret *name*."""
    parts = (keccak_bytes(text.encode()).hex() for text in (name, value))
    return concat_and_hash(_DOMAIN, owner, *parts)


@frozen
class Sms(ForeignService):
    """The SMS that the pool chose for a task."""

    kind: ClassVar = "SMS"

    async def framework(self) -> str:
        """Return the name of the one framework that it serves."""
        answer = await self._ask("GET", "/tee/framework")
        self._check("GET /tee/framework", answer)
        return self._read(answers.framework, answer)

    async def properties(self, framework: TeeFramework, version: str) -> Services:
        """
        Return the services of *framework* in that *version*, "" for the only one that there is.

        An SMS of 8.x has one for all versions, and names none.
        """
        path = f"/tee/properties/{framework.name}"
        if version:
            if not _VERSION.fullmatch(version):
                raise Rejected(f"no SMS has a framework of version {ascii(version)[:100]}")
            answer = await self._ask("GET", f"{path}/{quote(version, safe='')}")
            if answer.status != HTTPStatus.NOT_FOUND:
                self._check("GET /tee/properties", answer)
                return self._read(answers.properties, answer).services
        answer = await self._ask("GET", path)
        self._check("GET /tee/properties", answer)
        found = self._read(answers.properties, answer)
        if version and found.version not in ("", version):
            raise Rejected(f"SMS {self.name} has no {framework.name} of version {version}")
        return found.services

    async def store_secret(
        self, owner: str, name: str, value: str, sign: Callable[[str], str]
    ) -> None:
        """
        Make *value* the web2 secret *name* of *owner*, new or not, and see that it is there.

        *sign* makes the owner's signature, with prefix, of a hash.
        """
        query = urlencode({"ownerAddress": owner, "secretName": name})
        path = f"/secrets/web2?{query}"
        signature = sign(secret_challenge(owner, name, value))
        method = "PUT" if await self._has(path) else "POST"
        answer = await self._hand_over(method, path, signature, value)
        if method == "POST" and answer.status == HTTPStatus.CONFLICT:
            # Another task of ours was faster.
            answer = await self._hand_over("PUT", path, signature, value)
        self._check(f"{method} /secrets/web2", answer)
        if not await self._has(path):
            raise Unavailable(f"SMS {self.name} took a secret and does not have it")

    async def session(self, ours: Authorization, signature: str) -> TeeSession:
        """
        Open the session of the task that the pool's authorization *ours* is for.

        *signature* is the worker's, with prefix, of the authorization's hash. Raises
        `SessionRefused` when the SMS says why there is none, whatever its status.
        """
        body = authorization_body(ours)
        answer = await self._ask("POST", "/tee/sessions", authorization=signature, content=body)
        if not answer.good and (error := answers.session_error(answer.text)):
            cause = answers.session_cause(error)
            raise SessionRefused(cause, f"SMS {self.name} makes no session: {error}")
        self._check("POST /tee/sessions", answer)
        return self._read(answers.session, answer)

    async def _hand_over(self, method: str, path: str, signature: str, value: str) -> Answer:
        return await self._ask(method, path, authorization=signature, content=value.encode())

    async def _has(self, path: str) -> bool:
        answer = await self._ask("HEAD", path)
        if answer.status == HTTPStatus.NOT_FOUND:
            return False
        self._check("HEAD /secrets/web2", answer)
        return True

    def _read(self, read: Callable[[str], T], answer: Answer) -> T:
        try:
            return read(answer.text)
        except ValueError as error:
            raise Unavailable(f"SMS {self.name} answered something else: {error}") from error
