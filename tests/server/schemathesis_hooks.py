"""
What schemathesis is told of the worker that it tries; read by a process of its own.

From the document alone nothing would get past the signature: of four calls three are of the task
that runs there, and two of these are signed by its enclave.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

import schemathesis

if TYPE_CHECKING:
    from schemathesis import Case, HookContext

_TASK, _SIGNATURE = os.environ["TRIED_TASK"], os.environ["TRIED_SIGNATURE"]
_calls = count()


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    if case.method != "POST":
        return
    turn = next(_calls) % 4
    if turn < 3:
        case.path_parameters["task"] = _TASK
        if isinstance(case.body, dict) and "task-id" in case.body:
            case.body["task-id"] = _TASK
    if turn < 2:
        case.headers["Authorization"] = _SIGNATURE
