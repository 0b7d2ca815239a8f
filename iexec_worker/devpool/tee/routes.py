"""The routes of an SMS, and of the service that gives enclaves their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from quart import Blueprint, Response

from iexec_worker.devpool.chain.tags import knows
from iexec_worker.devpool.http import spring
from iexec_worker.devpool.permits import read_permit
from iexec_worker.devpool.tee.environments import NoSession
from iexec_worker.devpool.tee.sms import refusal, status_of
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from iexec_worker.devpool.tee.sms import Sms

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def make_app(sms: Sms) -> QuartTrio:
    """The SMS as an ASGI app."""
    app = spring.make_app("sms")
    app.register_blueprint(_about(sms))
    app.register_blueprint(_tee(sms))
    app.register_blueprint(_secrets(sms))
    return app


def make_provisioning(sms: Sms) -> QuartTrio:
    """What stands for CAS, SPS and the attestation of TDX: whoever knows a session gets it all."""
    app = spring.make_app("provisioning")

    @app.get("/sessions/<session_id>")
    async def session(session_id: str) -> Response:
        found = sms.sessions.known.get(session_id)
        return spring.empty(404) if found is None else spring.as_json(found.as_json())

    @app.get("/sessions/<session_id>/<stage>")
    async def stage(session_id: str, stage: str) -> Response:
        found = sms.sessions.known.get(session_id)
        if found is None or stage not in found.stages:
            return spring.empty(404)
        return spring.as_json(found.stages[stage].environment)

    return app


def _about(sms: Sms) -> Blueprint:
    routes = Blueprint("about", __name__)

    @routes.get("/version")
    async def version() -> Response:
        return spring.text(sms.version)

    @routes.get("/tee/framework")
    async def framework() -> Response:
        return spring.as_json(sms.framework.name)

    @routes.get("/tee/properties/<name>")
    async def properties(name: str) -> Response:
        if _named(sms, name) is not sms.framework:
            return spring.empty(409)
        version, found = next(iter(sms.properties.items()))
        told = version if sms.numbers >= (9,) else ""
        return spring.as_json(found.as_json(sms.framework, told))

    @routes.get("/tee/properties/<name>/<version>")
    async def properties_of(name: str, version: str) -> Response:
        if sms.numbers < (9,):
            return spring.error(404, "Not Found")
        if _named(sms, name) is not sms.framework:
            return spring.empty(409)
        found = sms.properties.get(version)
        if found is None:
            return spring.empty(404)
        return spring.as_json(found.as_json(sms.framework, version))

    return routes


def _tee(sms: Sms) -> Blueprint:
    routes = Blueprint("tee", __name__)

    @routes.post("/tee/challenges/<task_id>")
    async def challenge(task_id: str) -> Response:
        found = await sms.challenge(task_id, spring.header("Authorization"))
        return spring.empty(401) if found is None else spring.text(found)

    @routes.post("/tee/sessions")
    async def session() -> Response:
        signature = spring.header("Authorization")
        permit = read_permit(await spring.body())
        try:
            opened = await sms.open_session(permit, signature)
        except NoSession as reason:
            log.info("session refused", reason=str(reason))
            error = str(reason)
            return Response(refusal(error), status=status_of(error), content_type=spring.JSON)
        where = sms.provisioning_url
        data = {"sessionId": opened.session_id, "secretProvisioningUrl": where}
        return spring.as_json({"data": data})

    return routes


def _secrets(sms: Sms) -> Blueprint:
    routes = Blueprint("secrets", __name__)

    @routes.route("/secrets/web2", methods=["HEAD"])
    async def head() -> Response:
        known = sms.vault.web2(spring.parameter("ownerAddress"), spring.parameter("secretName"))
        return spring.empty(404 if known is None else 204)

    @routes.post("/secrets/web2")
    async def add() -> Response:
        return spring.empty(await _offer(sms, new=True))

    @routes.put("/secrets/web2")
    async def update() -> Response:
        return spring.empty(await _offer(sms, new=False))

    return routes


async def _offer(sms: Sms, *, new: bool) -> int:
    owner, name = spring.parameter("ownerAddress"), spring.parameter("secretName")
    signature = spring.header("Authorization")
    try:
        value = (await spring.payload()).decode()
    except UnicodeDecodeError:
        raise spring.BadRequest from None
    return sms.vault.offer(owner, name, value, signature, new=new)


def _named(sms: Sms, name: str) -> TeeFramework:
    """The framework of that name in any case; raises BadRequest for one unknown to this version."""
    try:
        found = TeeFramework[name.upper()]
    except KeyError:
        raise spring.BadRequest from None
    if not knows(sms.numbers, found):
        raise spring.BadRequest
    return found
