"""The secrets that an SMS keeps for requesters, workers, developers and owners of datasets."""

from __future__ import annotations

from typing import Final

from attrs import define, field

from iexec_worker.devpool.chain.hashing import signed_prefixed, web2_challenge

#: A worker's token for the result proxy; a requester may keep one, too.
STORAGE_TOKEN: Final = "iexec-result-iexec-ipfs-token"  # noqa: S105 - its name
DROPBOX_TOKEN: Final = "iexec-result-dropbox-token"  # noqa: S105 - its name
ENCRYPTION_KEY: Final = "iexec-result-encryption-public-key"

#: Bytes.
_LONGEST: Final = 4096


@define(eq=False)
class Vault:
    """
    Secrets by whom they belong to. Addresses are lower-case.

    *datasets*: dataset → key; *apps*: app → its developer's secret; *requesters*: requester and
    name → secret. Those are put there directly; web2 secrets come over HTTP.
    """

    datasets: dict[str, str] = field(factory=dict, init=False, repr=False)
    apps: dict[str, str] = field(factory=dict, init=False, repr=False)
    requesters: dict[tuple[str, str], str] = field(factory=dict, init=False, repr=False)
    _web2: dict[tuple[str, str], str] = field(factory=dict, init=False, repr=False)

    def web2(self, owner: str, name: str) -> str | None:
        """A web2 secret; names and owners count in any case."""
        return self._web2.get(_key(owner, name))

    def keep(self, owner: str, name: str, value: str) -> None:
        """Keep a web2 secret, without asking for a signature."""
        self._web2[_key(owner, name)] = value

    def offer(self, owner: str, name: str, value: str, signature: str, *, new: bool) -> int:
        """Keep a web2 secret that *owner* signed, which is *new* or not; returns an HTTP status."""
        try:
            challenge = web2_challenge(owner, name, value)
        except ValueError:
            return 401
        if not signed_prefixed(challenge, signature, owner):
            return 401
        if len(value.encode()) > _LONGEST:
            return 413
        if new and self.web2(owner, name) is not None:
            return 409
        if not new and self.web2(owner, name) is None:
            return 404
        self.keep(owner, name, value)
        return 204

    def forget(self) -> None:
        """Lose everything."""
        for secrets in (self.datasets, self.apps, self.requesters, self._web2):
            secrets.clear()


def _key(owner: str, name: str) -> tuple[str, str]:
    return owner.lower(), name.lower()
