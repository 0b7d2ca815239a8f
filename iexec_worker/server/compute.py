"""What pre- and post-compute tell: why they failed, and what the result is."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from attrs import field, frozen
from quart import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from iexec_worker.results import reported
from iexec_worker.server.caller import Callers
from iexec_worker.server.replies import TEXT, reason_of, refusal, refuse
from iexec_worker.tee.model import Part

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from iexec_worker.server.view import View
    from iexec_worker.wire import Cause

    T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_PARTS: Final = {"pre": Part.PRE, "post": Part.POST}


def routes(view: View) -> Blueprint:
    """
    Return the routes below `/compute`, and the older name of one of them, `/iexec_out`.

    The order of refusals is the original's: no header, no such task, a wrong signature, a bad
    body. Until then nothing of the body is read.
    """
    blueprint = Blueprint("compute", __name__)
    callers, complaints = Callers(view), Complaints(view)

    @blueprint.post("/compute/<part>/<task>/exit")
    async def exit_cause(part: str, task: str) -> Response:
        return await exit_with(part, task, reported.cause)

    @blueprint.post("/compute/<part>/<task>/exit-causes")
    async def exit_causes(part: str, task: str) -> Response:
        return await exit_with(part, task, reported.causes)

    async def exit_with(
        part: str, task: str, read: Callable[[bytes], tuple[Cause, ...]]
    ) -> Response:
        which = _PARTS.get(part.lower())
        if which is None:
            refuse(HTTPStatus.NOT_FOUND, "there are pre and post")
        reports = await callers.port(task)
        new = await reports.exit(which, await _body(read))
        return Response("", HTTPStatus.OK if new else HTTPStatus.ALREADY_REPORTED)

    @blueprint.post("/compute/post/<task>/computed")
    @blueprint.post("/iexec_out/<task>/computed")
    async def computed(task: str) -> Response:
        reports = await callers.port(task)
        file = await _body(lambda content: reported.computed(content, task))
        if not reported.is_signed(file):
            refuse(HTTPStatus.UNAUTHORIZED, "there is no digest, or no signature of it")
        if not await reports.computed(file):
            refuse(HTTPStatus.UNAUTHORIZED, "no result is wanted, or there is one already")
        return Response(task, content_type=TEXT)

    blueprint.register_error_handler(HTTPException, complaints.answer)
    return blueprint


async def _body(read: Callable[[bytes], T]) -> T:
    """Read the body; refuses it with 400 when *read* does, and one that is too large with 413."""
    content = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    try:
        return read(content)
    except ValueError as error:
        refuse(HTTPStatus.BAD_REQUEST, str(error))


@frozen
class Complaints:
    """
    Says in the log what was refused of a task of ours: its images show little of it.

    Anyone may call, as often as they like: what was said lately is not said again.
    """

    view: View
    _said: deque[tuple[str, str | None]] = field(init=False, factory=lambda: deque(maxlen=64))

    async def answer(self, error: HTTPException) -> Response:
        """Return the answer to a request that was refused."""
        task = str((request.view_args or {}).get("task", ""))
        what = (request.path, reason_of(error))
        if what not in self._said and self.view.reports(task) is not None:
            self._said.append(what)
            reason = reason_of(error) or error.name
            log.warning("callback refused", task=task, route=request.path, reason=reason)
        return await refusal(error)
