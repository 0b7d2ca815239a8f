"""Answers in JSON, as compact as the original's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from quart import Response, abort

if TYPE_CHECKING:
    from http import HTTPStatus

    from werkzeug.exceptions import HTTPException

JSON: Final = "application/json"
TEXT: Final = "text/plain;charset=UTF-8"
ACTUATOR: Final = "application/vnd.spring-boot.actuator.v3+json"


def reply(body: Any, status: int = 200, content_type: str = JSON) -> Response:  # noqa: ANN401 - any JSON value
    """Return *body* as JSON with its keys in the order in which they stand."""
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return Response(text, status, content_type=content_type)


def refuse(status: HTTPStatus, reason: str) -> NoReturn:
    """End the request with *status*; *reason* is for whoever wrote the client."""
    abort(status, reason)


async def refusal(error: HTTPException) -> Response:
    """Return the answer to a request that no route takes, or that failed."""
    body: dict[str, Any] = {"status": error.code, "error": error.name}
    if reason := reason_of(error):
        body["message"] = reason
    answer = reply(body, error.code or 500)
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer


def reason_of(error: HTTPException) -> str | None:
    """Return what `refuse` was told; the framework's own errors explain HTTP, and are no news."""
    return error.description if error.description != type(error).description else None
