"""Manifests, asked from registries: the engine tells platforms, but no sizes."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, Final

import httpx
from attrs import frozen

from iexec_worker.engine.images import manifest
from iexec_worker.engine.images.reference import DEFAULT_REGISTRY
from iexec_worker.errors import Rejected
from iexec_worker.transport import raw_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.config import RegistryCredentials
    from iexec_worker.engine.images.manifest import Platform
    from iexec_worker.engine.images.reference import Reference

_LARGEST: Final = 4 * 1024**2
"""Bytes of an answer; registries themselves take no larger manifests."""

_DEFAULT_HOST: Final = "registry-1.docker.io"
"""Where the default registry really is."""

_PARAMETER: Final = re.compile(r'([a-z]+)="([^"]*)"')


@frozen
class Registries:
    """
    Asks registries with the client that *client_for* gives for an address.

    Addresses are strangers' choice: the client guards what must not be reached.
    """

    client_for: Callable[[str], httpx.AsyncClient]

    async def size(
        self, reference: Reference, here: Platform, login: RegistryCredentials | None
    ) -> int | None:
        """
        Bytes of the image for the platform *here*, packed; None when the registry does not say.

        Raises `Rejected`, `httpx.HTTPError` or `ValueError` when it gives no usable answer.
        """
        inquiry = _Inquiry(self.client_for(reference.registry), reference, login)
        found = await inquiry.manifest(reference.version)
        digest = manifest.chosen(found, here)
        return manifest.size(await inquiry.manifest(digest) if digest else found)


@frozen
class _Inquiry:
    client: httpx.AsyncClient
    reference: Reference
    login: RegistryCredentials | None

    async def manifest(self, version: str) -> dict[str, Any]:
        url = f"{_base(self.reference.registry)}/v2/{self.reference.path}/manifests/{version}"
        headers = {"Accept": manifest.ACCEPT}
        status, answer, challenge = await self._get(url, headers)
        if status == httpx.codes.UNAUTHORIZED:
            headers |= await self._authorization(challenge)
            status, answer, _ = await self._get(url, headers)
        if status != httpx.codes.OK or not isinstance(answer, dict):
            raise Rejected(f"registry {self.reference.registry}: status {status} for a manifest")
        return answer

    async def _authorization(self, challenge: str) -> dict[str, str]:
        scheme, _, rest = challenge.partition(" ")
        said = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer":
            return self._basic()
        realm = httpx.URL(said.pop("realm", ""))
        # A password goes to those only whom nobody can overhear.
        safe = realm.scheme == "https" or _is_local(realm.host)
        url = str(realm.copy_merge_params({**said, "scope": self._scope}))
        _, answer, _ = await self._get(url, self._basic() if safe else {})
        fields = answer if isinstance(answer, dict) else {}
        return {"Authorization": f"Bearer {fields.get('token') or fields.get('access_token')}"}

    @property
    def _scope(self) -> str:
        return f"repository:{self.reference.path}:pull"

    def _basic(self) -> dict[str, str]:
        if self.login is None:
            return {}
        basic = httpx.BasicAuth(self.login.username, self.login.password.reveal())
        request = next(basic.auth_flow(httpx.Request("GET", "https://registry")))
        return {"Authorization": request.headers["Authorization"]}

    async def _get(self, url: str, headers: dict[str, str]) -> tuple[int, Any, str]:
        """Return status, JSON (None if there is none) and challenge; nothing is followed."""
        plain = {"Accept-Encoding": "identity", **headers}
        async with self.client.stream("GET", url, headers=plain) as response:
            body = b""
            async with raw_body(response) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > _LARGEST:
                        raise Rejected(f"registry {self.reference.registry}: answer too large")
        challenge = response.headers.get("WWW-Authenticate", "")
        return response.status_code, _json(body), challenge


def _json(body: bytes) -> Any:  # noqa: ANN401  # whatever it is
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _base(registry: str) -> str:
    host = _DEFAULT_HOST if registry == DEFAULT_REGISTRY else registry
    return f"{'http' if _is_local(httpx.URL(f'http://{host}').host) else 'https'}://{host}"


def _is_local(host: str) -> bool:
    """True iff engines speak plain HTTP with it by themselves."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
