"""Answers in the manner of Spring Boot, which the pool's services are built with."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from iexec_worker.devpool.http import files

if TYPE_CHECKING:
    from collections.abc import Mapping

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

TEXT: Final = "text/plain;charset=UTF-8"
JSON: Final = "application/json"


class BadRequest(Exception):
    """Raised when the framework, not a controller, refuses a request: 400 with an error body."""


def make_app(name: str) -> QuartTrio:
    """Make an app without limits of size and time that words its errors as Spring does."""
    app = QuartTrio(name)
    app.response_class = files.Response
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    app.url_map.strict_slashes = True

    @app.errorhandler(BadRequest)
    async def bad_request(_: BadRequest) -> Response:
        return error(400, "Bad Request")

    @app.errorhandler(HTTPException)
    async def refused(reason: HTTPException) -> Response:
        answer = error(reason.code or 500, reason.name)
        if isinstance(reason, MethodNotAllowed) and reason.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(reason.valid_methods))
        return answer

    @app.errorhandler(Exception)
    async def failed(reason: Exception) -> Response:
        log.error("request failed", path=request.path, exc_info=reason)
        return error(500, "Internal Server Error")

    return app


def empty(status: int) -> Response:
    """An answer without a body, as controllers give it."""
    return Response(b"", status=status, content_type="")


def text(value: str) -> Response:
    """A string as it is: Spring never quotes it, whatever content type was asked for."""
    wants_json = request.headers.get("Accept", "").startswith(JSON)
    return Response(value, content_type=JSON if wants_json else TEXT)


def as_json(value: Any, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """*value* as JSON; nulls are written."""
    return Response(json.dumps(value), status=status, content_type=JSON)


def error(status: int, name: str) -> Response:
    """Spring's own error answer."""
    body = {"timestamp": date(now()), "status": status, "error": name, "path": request.path}
    return as_json(body, status)


def now() -> dt.datetime:
    """The time."""
    return dt.datetime.now(dt.UTC)


def date(moment: dt.datetime) -> str:
    """A `java.util.Date` as Spring writes it: millis and offset."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}+00:00"


async def payload() -> bytes:
    """The bytes of the request's body."""
    data = await request.get_data()
    return data.encode() if isinstance(data, str) else data


async def body() -> Mapping[str, Any]:
    """The JSON object of the request; raises BadRequest when there is none."""
    try:
        value = json.loads(await payload())
    except ValueError:
        raise BadRequest from None
    if not isinstance(value, dict):
        raise BadRequest
    return value


def parameter(name: str) -> str:
    """A required query parameter; raises BadRequest when it is missing."""
    value = request.args.get(name)
    if value is None:
        raise BadRequest
    return value


def header(name: str) -> str:
    """A required header; raises BadRequest when it is missing."""
    value = request.headers.get(name)
    if value is None:
        raise BadRequest
    return value
