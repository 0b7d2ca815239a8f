"""The HTTP application: routes over a `View`, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from iexec_worker.server import about, compute, figures, health, openapi
from iexec_worker.server.replies import refusal

if TYPE_CHECKING:
    from iexec_worker.server.view import View

#: Bytes. The largest body of a protocol route is a computed file, 1 MiB at most.
BODY_LIMIT: Final = 1024 * 1024
#: Seconds for a whole body to arrive; it comes from a container on the same machine.
BODY_TIMEOUT: Final = 10


def make_app(view: View) -> QuartTrio:
    """Return the application that shows *view*. Unknown routes and methods answer in JSON."""
    app = QuartTrio("iexec_worker", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT
    for part in (health, figures, about, compute, openapi):
        app.register_blueprint(part.routes(view))
    app.register_error_handler(HTTPException, refusal)
    return app
