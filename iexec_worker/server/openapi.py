"""
All routes, for people and for programs that read OpenAPI 3.1.

The table below is written by hand: each request is refused in the order of the protocol, which
no validation from a schema in front of the routes could keep. Tests hold table and routes to
each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quart import Blueprint, Response

from iexec_worker import __version__
from iexec_worker.server.replies import ACTUATOR, JSON, TEXT, reply
from iexec_worker.server.schemas import EXAMPLES, SCHEMAS, Schema, ref
from iexec_worker.telemetry.prometheus import CONTENT_TYPE as PROMETHEUS

if TYPE_CHECKING:
    from iexec_worker.server.view import View


def routes(_: View) -> Blueprint:
    """Return `/openapi.json`."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get("/openapi.json")
    async def openapi() -> Response:
        return reply(DOCUMENT)

    return blueprint


def _content(schema: Schema, kind: str) -> Schema:
    return {"content": {kind: {"schema": schema}}}


def _shows(summary: str, schema: Schema, kind: str = JSON) -> Schema:
    """A route that answers 200 whenever it is asked."""
    answer = {"description": summary, **_content(schema, kind)}
    return {"get": {"summary": summary, "responses": {"200": answer}}}


_DETAILS: Final = {
    "name": "details",
    "in": "query",
    "description": "`true`: each component, with its reason.",
    "schema": {"type": "string"},
}


def _health(summary: str, otherwise: str, schema: str) -> Schema:
    content = _content(ref(schema), ACTUATOR)
    answers = {
        "200": {"description": "UP", **content},
        "503": {"description": otherwise, **content},
    }
    return {"get": {"summary": summary, "parameters": [_DETAILS], "responses": answers}}


_TASK: Final = {
    "name": "task",
    "in": "path",
    "required": True,
    "description": "The task's id on the chain.",
    "schema": {"type": "string"},
}
_PART: Final = {
    "name": "part",
    "in": "path",
    "required": True,
    "description": "`pre` or `post`, in any case.",
    "schema": {"type": "string", "pattern": "^([pP][rR][eE]|[pP][oO][sS][tT])$"},
}

#: In the order in which they are looked for; the body comes last.
_REFUSALS: Final = {
    "400": "No Authorization header; or the body is empty or something else than it should be",
    "404": "No such task here",
    "401": "The signature is not of an enclave of this task; or what was sent is not wanted",
    "408": "The body did not arrive in time",
    "413": "The body is larger than 1 MiB",
}


def _told(summary: str, body: str, answers: Schema, *parameters: Schema) -> Schema:
    refusals = {
        code: {"description": why, **_content(ref("Error"), JSON)}
        for code, why in _REFUSALS.items()
    }
    examples = {name: {"value": value} for name, value in EXAMPLES[body].items()}
    content = {"schema": ref(body), "examples": examples}
    return {
        "post": {
            "summary": summary,
            "parameters": list(parameters),
            # Containers of the 8.x stack send none, and are heard where they may.
            "security": [{"enclave": []}, {}],
            "requestBody": {"required": True, "content": {JSON: content}},
            "responses": answers | refusals,
        }
    }


def _exit(summary: str, body: str) -> Schema:
    answers = {
        "200": {"description": "Taken"},
        "208": {"description": "Reported already; nothing was changed"},
    }
    return _told(summary, body, answers, _PART, _TASK)


def _computed(summary: str) -> Schema:
    answers = {"200": {"description": "Taken: the task's id", **_content({"type": "string"}, TEXT)}}
    return _told(summary, "ComputedFile", answers, _TASK)


_PATHS: Final[dict[str, Schema]] = {
    "/actuator/health": _health("Is the process sound?", "DOWN", "Liveness"),
    "/actuator/health/liveness": _health("The same", "DOWN", "Liveness"),
    "/actuator/health/readiness": _health(
        "Can work be taken?", "OUT_OF_SERVICE: something that it needs is away", "Readiness"
    ),
    "/actuator/supervision": _shows("What every part of the worker does", ref("Part")),
    "/actuator/info": _shows("Name and version", ref("Info"), ACTUATOR),
    "/actuator/prometheus": _shows("All metrics", {"type": "string"}, PROMETHEUS),
    "/metrics": _shows("Durations of the last runs", ref("Durations")),
    "/version": _shows("The version", {"type": "string"}, TEXT),
    "/openapi.json": _shows("This document", {"type": "object"}),
    "/compute/{part}/{task}/exit": _exit("Pre- or post-compute failed (until 9.0)", "ExitCause"),
    "/compute/{part}/{task}/exit-causes": _exit("Pre- or post-compute failed", "ExitCauses"),
    "/compute/post/{task}/computed": _computed("Post-compute has the result"),
    "/iexec_out/{task}/computed": _computed("The same, for older images"),
}

DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "iexec-worker",
        "version": __version__,
        "description": "What a worker of an iExec pool serves: to operators, and to the enclaves "
        "of the tasks that it runs.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": _PATHS,
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "enclave": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "Signature by the key of the task's enclave challenge, with the "
                "Ethereum prefix, of keccak256(task id, worker's address); hex, nothing before it.",
            }
        },
    },
}
