"""What an SMS answers, read with its types checked. Sans-IO."""

from __future__ import annotations

import json
import re
from typing import Final

from attrs import frozen

from iexec_worker.fields import Fields
from iexec_worker.tee.model import Service, Services, TeeSession
from iexec_worker.wire import Cause, member

#: The names of errors and frameworks; anything else is no answer of an SMS.
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")

#: Sessions and their places go on command lines and in environments.
_PLAIN: Final = re.compile(r"[!-~]{1,500}")


@frozen
class Properties:
    """*version* is empty when the SMS, of 8.x, names none."""

    services: Services
    version: str


def framework(text: str) -> str:
    """Read the answer of `/tee/framework`, a JSON string."""
    name = _json(text)
    if not isinstance(name, str) or not _NAME.fullmatch(name.upper()):
        raise ValueError("not the name of a framework")
    return name.upper()


def properties(text: str) -> Properties:
    """Read the answer of `/tee/properties`."""
    fields = Fields.of(_json(text), "the answer")
    services = Services(
        pre=_service(fields.inner("preComputeProperties")),
        post=_service(fields.inner("postComputeProperties")),
        las_image=fields.text("lasImage"),
    )
    return Properties(services, fields.text("teeFrameworkVersion"))


def _service(fields: Fields) -> Service:
    image = fields.text("image")
    if not image:
        raise ValueError("a service has no image")
    heap = fields.whole("heapSizeInBytes", 0)
    if heap < 0:
        raise ValueError("the heap of a service is negative")
    return Service(image, fields.text("fingerprint"), fields.text("entrypoint"), heap)


def session(text: str) -> TeeSession:
    """Read the answer of `/tee/sessions` that has a session."""
    data = Fields.of(_json(text), "the answer").inner("data")
    session_id, url = data.text("sessionId"), data.text("secretProvisioningUrl")
    if not (_PLAIN.fullmatch(session_id) and _PLAIN.fullmatch(url)):
        raise ValueError("no session in it")
    return TeeSession(session_id, url)


def session_error(text: str) -> str:
    """Read why there is no session; empty when the answer does not say."""
    try:
        error = Fields.of(_json(text), "the answer").text("error")
    except ValueError:
        return ""
    # Spring's own answers have an error, too, in words: "Internal Server Error".
    return error if _NAME.fullmatch(error) else ""


def session_cause(error: str) -> Cause:
    """Return what the pool is told of *error*, whatever a newer SMS calls it."""
    cause = member(Cause, f"TEE_SESSION_GENERATION_{error}")
    return Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE if cause is None else cause


def _json(text: str) -> object:
    try:
        found: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("too deep") from error
    return found
