"""The JSON that the routes take and give, as the schemas of the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from iexec_worker.model import ZERO_HASH
from iexec_worker.results.reported import MOST_CAUSES
from iexec_worker.telemetry.tree import State
from iexec_worker.wire import Cause

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_OPTIONAL_TEXT: Final[Schema] = {"type": ["string", "null"]}


def ref(name: str) -> Schema:
    """Refer to a schema of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(description: str, properties: Schema, *optional: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _hex(digits: int) -> Schema:
    return {"type": "string", "pattern": f"^0x[0-9a-fA-F]{{{digits}}}$"}


def _parts(details: Schema) -> Schema:
    part = _object("One part.", {"status": _TEXT, "details": details}, "details")
    return {"type": "object", "additionalProperties": part}


def _health(statuses: list[str], details: Schema) -> Schema:
    status = {"type": "string", "enum": statuses}
    text = "Spring's actuator; `components` when details are asked for."
    return _object(text, {"status": status, "components": _parts(details)}, "components")


_DURATION: Final = {"type": "number", "minimum": 0}
_WINDOWS: Final = ("preCompute", "appCompute", "postCompute", "completeCompute")

SCHEMAS: Final[dict[str, Schema]] = {
    "TaskId": {**_hex(64), "description": "The task's id on the chain."},
    "Cause": {
        "type": "string",
        "description": "A cause that pools from 8.6 to 9.x know.",
        "enum": [cause.value for cause in Cause],
    },
    "ExitCause": _object(
        "Why a part failed. Other fields are ignored.",
        {"cause": ref("Cause"), "message": _OPTIONAL_TEXT},
        "message",
    ),
    "ExitCauses": {
        "type": "array",
        "description": "Names, as images of 9.1 send them, or objects, as those from 9.2 on.",
        "items": {"oneOf": [ref("Cause"), ref("ExitCause")]},
        "minItems": 1,
        "maxItems": MOST_CAUSES,
    },
    "ComputedFile": _object(
        "What post-compute says of the result. Other fields are ignored.",
        {
            "task-id": ref("TaskId"),
            "deterministic-output-path": _OPTIONAL_TEXT,
            "callback-data": _OPTIONAL_TEXT,
            "result-digest": {**_hex(64), "not": {"const": ZERO_HASH}},
            "enclave-signature": {
                **_hex(130),
                "description": "By the enclave's key, with prefix, of H(result hash, result seal).",
            },
        },
        *("deterministic-output-path", "callback-data"),
    ),
    "Error": _object(
        "A refusal; `message` says why, where HTTP does not.",
        {"status": {"type": "integer"}, "error": _TEXT, "message": _TEXT},
        "message",
    ),
    "Liveness": _health(["UP", "DOWN"], _object("Of it.", {"state": _TEXT, "doing": _TEXT})),
    "Readiness": _health(["UP", "OUT_OF_SERVICE"], _object("Of it.", {"reason": _TEXT})),
    "Info": _object(
        "What runs here.",
        {
            "name": _TEXT,
            "version": _TEXT,
            "protocol": _object("Versions of pools.", {"first": _TEXT, "last": _TEXT}),
        },
    ),
    "Part": _object(
        "A part of the worker: what it does, or waits for.",
        {
            "name": _TEXT,
            "state": {"type": "string", "enum": [state.value for state in State]},
            "since": {"type": "number", "description": "Seconds since the epoch."},
            "restarts": _COUNT,
            "lastError": _TEXT,
            "doing": _TEXT,
            "children": {"type": "array", "items": ref("Part")},
        },
    ),
    "Durations": _object(
        "In milliseconds, of the last runs; 0.0 of none.",
        {f"{window}Durations": ref("Window") for window in _WINDOWS},
    ),
    "Window": _object(
        "Of one kind of run.",
        {
            "minDuration": _DURATION,
            "maxDuration": _DURATION,
            "averageDuration": _DURATION,
            "durationSamplesCount": _COUNT,
        },
    ),
}

_TASK_ID: Final = "0x" + 32 * "a1"

#: Bodies that are taken, of the schemas that have several forms or long values.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "ExitCause": {"8.6": {"cause": "PRE_COMPUTE_DATASET_DOWNLOAD_FAILED"}},
    "ExitCauses": {
        "9.1": ["PRE_COMPUTE_DATASET_DOWNLOAD_FAILED"],
        "9.2": [{"cause": "PRE_COMPUTE_DATASET_DOWNLOAD_FAILED", "message": "0x…"}],
    },
    "ComputedFile": {
        "file": {
            "task-id": _TASK_ID,
            "deterministic-output-path": "/iexec_out/result.txt",
            "result-digest": "0x" + 32 * "d1",
            "enclave-signature": "0x" + 65 * "e1",
        },
        "callback": {
            "task-id": _TASK_ID,
            "callback-data": "0x01",
            "result-digest": "0x" + 32 * "d1",
            "enclave-signature": "0x" + 65 * "e1",
        },
    },
}
