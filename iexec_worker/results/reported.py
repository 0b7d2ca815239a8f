"""
What the enclaves of a trusted task send to the worker: readers of the bodies. Sans-IO.

They are stricter than what apps write needs: who sends this is a program of the protocol, and a
text that two readers could take for two different things is not one of its.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from iexec_worker.model import ZERO_HASH, ComputedFile
from iexec_worker.wire import Cause, member

#: A cause for each dataset and input file of a large bulk; a list has to be read and walked whole.
MOST_CAUSES: Final = 1000

_DIGEST: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{130}")


def cause(content: bytes) -> tuple[Cause, ...]:
    """
    Read the body of `…/exit`: `{"cause": C}`.

    Raises `ValueError` when it is something else, or a cause that no pool knows.
    """
    return (_cause(_object(_json(content))),)


def causes(content: bytes) -> tuple[Cause, ...]:
    """
    Read the body of `…/exit-causes`: names (9.1) or objects with name and message (from 9.2).

    Each cause is told once, in the order in which they first came.

    Raises `ValueError` when it is something else, when there are none or more than `MOST_CAUSES`,
    or for a cause that no pool knows.
    """
    items = _json(content)
    if not isinstance(items, list) or not 0 < len(items) <= MOST_CAUSES:
        raise ValueError(f"the body is no list of 1 to {MOST_CAUSES} causes")
    return tuple(
        dict.fromkeys(
            _known(item) if isinstance(item, str) else _cause(_object(item)) for item in items
        )
    )


def computed(content: bytes, chain_task_id: str) -> ComputedFile:
    """
    Read the computed file of the task *chain_task_id*: other than an app's it is believed.

    Raises `ValueError` when it is none, or of another task.
    """
    document = _object(_json(content))
    if _text(document, "task-id") != chain_task_id:
        raise ValueError("the computed file is not of this task")
    return ComputedFile(
        deterministic_output_path=_text(document, "deterministic-output-path"),
        callback_data=_text(document, "callback-data"),
        result_digest=_text(document, "result-digest").lower(),
        enclave_signature=_text(document, "enclave-signature").lower(),
    )


def is_signed(file: ComputedFile) -> bool:
    """True iff *file* has a digest that is not zero, and what may be a signature of it."""
    return (
        _DIGEST.fullmatch(file.result_digest) is not None
        and file.result_digest != ZERO_HASH
        and _SIGNATURE.fullmatch(file.enclave_signature) is not None
    )


def _json(content: bytes) -> object:
    try:
        return json.loads(content, parse_constant=_refuse, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands there twice")
    return document


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("the body has something else where an object should be")  # noqa: TRY004 - a fault of the sender's
    return value


def _cause(document: dict[str, Any]) -> Cause:
    _text(document, "message")
    return _known(_text(document, "cause"))


def _known(name: str) -> Cause:
    found = member(Cause, name)
    if found is None:
        raise ValueError(f"{name[:80]!a} is no cause that pools know" if name else "no cause")
    return found


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key} is not text")  # noqa: TRY004 - a fault of the sender's
    # JSON can spell halves of characters, which nothing can write down.
    value.encode()
    return value
