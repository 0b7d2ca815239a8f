"""What runs here, and what it is doing now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint, Response

from iexec_worker import __version__
from iexec_worker.server.replies import ACTUATOR, TEXT, reply
from iexec_worker.versions import FULL_VERSION, PROTOCOL_RANGE

if TYPE_CHECKING:
    from iexec_worker.server.view import View


def routes(view: View) -> Blueprint:
    """Return `/version`, `/actuator/info` and `/actuator/supervision`."""
    blueprint = Blueprint("about", __name__)

    @blueprint.get("/version")
    async def version() -> Response:
        return Response(FULL_VERSION, content_type=TEXT)

    @blueprint.get("/actuator/info")
    async def info() -> Response:
        first, last = PROTOCOL_RANGE
        body = {
            "name": "iexec-worker",
            "version": __version__,
            "protocol": {"first": first, "last": last},
        }
        return reply(body, content_type=ACTUATOR)

    @blueprint.get("/actuator/supervision")
    async def supervision() -> Response:
        return reply(view.redact(view.root.snapshot()))

    return blueprint
