"""Challenges, logins and tokens, with the quirks workers have to live with."""

from __future__ import annotations

import base64
import secrets
import time
from typing import TYPE_CHECKING, Final

import jwt
from attrs import define, field

from iexec_worker.devpool.chain.hashing import signed_login

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings

_SCHEME: Final = "Bearer "
_ALGORITHM: Final = "HS256"


@define(eq=False)
class Tokens:
    """The tokens of one scheduler process: a restart knows none of them."""

    settings: SchedulerSettings
    _secret: bytes = field(factory=lambda: secrets.token_bytes(128))
    _cache: dict[str, str] = field(factory=dict, init=False)

    def issue(self, wallet: str) -> str:
        """The wallet's token: always the same one, expired or not, until that was noticed."""
        if wallet not in self._cache:
            self._cache[wallet] = self._make(wallet)
        return self._cache[wallet]

    def wallet(self, header: str) -> str | None:
        """Who presents *header*; None for everything that means 401."""
        if not header.startswith(_SCHEME):
            return None
        token = header.removeprefix(_SCHEME)
        wallet = next((w for w, known in self._cache.items() if known == token), None)
        if wallet is not None and self._expired(token):
            # Only now, when it is seen again, is a dead token forgotten.
            del self._cache[wallet]
            return None
        return wallet

    def forget(self) -> None:
        """Know no token any more, as after a restart."""
        self._cache.clear()

    def _make(self, wallet: str) -> str:
        now = int(time.time())
        claims = {
            "aud": f"iExec Scheduler v{self.settings.version}",
            "iat": now,
            "exp": now + int(self.settings.token_life),
            "sub": wallet,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM, headers={"typ": None})

    def _expired(self, token: str) -> bool:
        audience = f"iExec Scheduler v{self.settings.version}"
        try:
            jwt.decode(token, self._secret, algorithms=[_ALGORITHM], audience=audience)
        except jwt.InvalidTokenError:
            return True
        return False


@define(eq=False)
class Challenges:
    """What a wallet has to sign to log in; one at a time per wallet, for some minutes."""

    life: float
    _open: dict[str, tuple[str, float]] = field(factory=dict, init=False)

    def get(self, wallet: str) -> str:
        """The wallet's challenge: standard base64 of 32 random bytes."""
        text, made = self._open.get(wallet, ("", 0.0))
        if not text or time.monotonic() - made > self.life:
            text = base64.b64encode(secrets.token_bytes(32)).decode()
            self._open[wallet] = text, time.monotonic()
        return text

    def answered(self, wallet: str, signature: str) -> bool:
        """True iff *wallet* signed its challenge, which is then used up."""
        right = signed_login(self.get(wallet), signature, wallet)
        if right:
            del self._open[wallet]
        return right
