"""Answers in JSON, as compact as the original's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from quart import Response

if TYPE_CHECKING:
    from werkzeug.exceptions import HTTPException

JSON: Final = "application/json"
ACTUATOR: Final = "application/vnd.spring-boot.actuator.v3+json"


def reply(body: Any, status: int = 200, content_type: str = JSON) -> Response:  # noqa: ANN401 - any JSON value
    """Return *body* as JSON with its keys in the order in which they stand."""
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return Response(text, status, content_type=content_type)


async def refusal(error: HTTPException) -> Response:
    """Return the answer to a request that no route takes, or that failed."""
    answer = reply({"status": error.code, "error": error.name}, error.code or 500)
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer
