"""The result proxy: tokens, uploads, and where a result went."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import jwt
import structlog
from attrs import define, field
from quart import Blueprint, Response, request

from iexec_worker.devpool.chain.tags import numbers
from iexec_worker.devpool.http import spring
from iexec_worker.devpool.permits import Permit, read_permit
from iexec_worker.devpool.results.checks import Upload, refuse_token, refuse_upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quart_trio import QuartTrio

    from iexec_worker.devpool.ipfs import Ipfs
    from iexec_worker.devpool.scheduler.ports import Chain

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_ALGORITHM: Final = "HS256"


@define(eq=False)
class ResultProxy:
    """
    Takes each task's result once, from the worker that revealed it, or from the enclave of a TEE
    task, and keeps it in *ipfs*.

    *stored_as*: task id → CID.
    """

    chain: Chain
    ipfs: Ipfs
    version: str = "9.1.0"
    stored_as: dict[str, str] = field(factory=dict, init=False)
    _secret: bytes = field(factory=lambda: secrets.token_bytes(64), init=False)
    _tokens: dict[str, str] = field(factory=dict, init=False)
    #: Those with which tokens were asked for, by task and wallet: enclaves sign for them.
    _permits: dict[tuple[str, str], Permit] = field(factory=dict, init=False)

    def app(self) -> QuartTrio:
        """The ASGI app, with the gateway beside it."""
        app = spring.make_app("result-proxy")
        app.register_blueprint(_routes(self))
        app.register_blueprint(self.ipfs.routes())
        return app

    async def stored(self, chain_task_id: str) -> bool:
        """True iff the task's result is here and can be fetched."""
        name = self.stored_as.get(chain_task_id)
        return name is not None and await self.ipfs.has(name)

    async def token(self, body: Mapping[str, Any], signature: str) -> str | None:
        """The token of the worker that presents an authorization; None: 401."""
        permit = read_permit(body)
        if permit is None:
            return None
        refusal = await refuse_token(self.chain, permit, signature, numbers(self.version))
        if refusal is not None:
            log.info("token refused", task=permit.chain_task_id, reason=refusal)
            return None
        self._permits[permit.chain_task_id, permit.wallet] = permit
        if permit.wallet not in self._tokens:
            self._tokens[permit.wallet] = self._make(permit.wallet)
        return self._tokens[permit.wallet]

    def wallet(self, token: str) -> str | None:
        """Whose token this is; None: 401."""
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            wallet = str(unverified.get("aud"))
            jwt.decode(token, self._secret, algorithms=[_ALGORITHM], audience=wallet)
        except jwt.InvalidTokenError:
            return None
        return wallet if self._tokens.get(wallet) == token else None

    async def upload(self, upload: Upload) -> str | None:
        """Keep the archive as the task's result; returns its link, None when it is refused."""
        task, wallet = upload.chain_task_id, upload.wallet
        refusal = "there is a result already"
        if not await self.stored(task):
            permit = self._permits.get((task, wallet))
            version = numbers(self.version)
            refusal = await refuse_upload(self.chain, upload, permit, version) or ""
        if refusal:
            log.warning("result refused", task=task, wallet=wallet, reason=refusal)
            return None
        self._permits.pop((task, wallet), None)
        name = self.stored_as[task] = await self.ipfs.add(upload.archive)
        log.info("result stored", task=task, cid=name, size=len(upload.archive))
        return f"/ipfs/{name}"

    def _make(self, wallet: str) -> str:
        # No expiry: one token per wallet, for ever.
        claims = {"aud": wallet, "iat": int(time.time()), "sub": str(uuid.uuid4())}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM, headers={"typ": None})


def _routes(proxy: ResultProxy) -> Blueprint:
    routes = Blueprint("results", __name__)

    @routes.get("/version")
    async def version() -> Response:
        return spring.text(proxy.version)

    @routes.post("/v1/results/token")
    async def token() -> Response:
        signature = spring.header("Authorization")
        token = await proxy.token(await spring.body(), signature)
        return spring.empty(401) if token is None else spring.text(token)

    @routes.post("/v1/results")
    async def upload() -> Response:
        wallet = proxy.wallet(spring.header("Authorization"))
        body = await spring.body()
        if wallet is None:
            return spring.empty(401)
        link = await proxy.upload(_read(wallet, body))
        return spring.empty(401) if link is None else spring.text(link)

    @routes.route("/v1/results/<chain_task_id>", methods=["HEAD"])
    async def head(chain_task_id: str) -> Response:
        if proxy.wallet(request.headers.get("Authorization", "")) is None:
            return spring.empty(401)
        return spring.empty(204 if await proxy.stored(chain_task_id) else 404)

    @routes.get("/v1/results/<chain_task_id>/ipfshash")
    async def ipfs_hash(chain_task_id: str) -> Response:
        if not await proxy.stored(chain_task_id):
            return spring.empty(404)
        return spring.text(proxy.stored_as[chain_task_id])

    return routes


def _read(wallet: str, body: Mapping[str, Any]) -> Upload:
    names = ("chainTaskId", "deterministHash", "enclaveSignature")
    chain_task_id, digest, signature = (str(body.get(name) or "") for name in names)
    return Upload(wallet, chain_task_id, _archive(body), digest, signature)


def _archive(body: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(body.get("zip") or ""), validate=True)
    except binascii.Error:
        raise spring.BadRequest from None
