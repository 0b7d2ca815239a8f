"""JSON-RPC as bytes: requests, answers, and what an error means. Sans-IO."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from iexec_worker.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Errors that say something of this node, now, and nothing of the request: another may answer.
#: -32005: too many requests (EIP-1474); the texts are geth's and Erigon's of a node that lags.
_LIMITED: Final = -32005
_LAGGING: Final = ("header not found", "missing trie node", "unknown block", "rate limit")


class NodeRefused(Rejected):
    """Raised when the node answered a request with an error; *data* is revert data, if any."""

    def __init__(self, code: int, message: str, data: bytes = b"") -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"the node refused: {message} ({code})")


@frozen
class Request:
    """One call of the node."""

    method: str
    params: tuple[Any, ...] = ()


def encode(requests: Sequence[Request]) -> bytes:
    """One request as an object, several as a batch; the id is the position."""
    calls = [
        {"jsonrpc": "2.0", "id": number, "method": request.method, "params": request.params}
        for number, request in enumerate(requests)
    ]
    return json.dumps(calls if len(calls) != 1 else calls[0]).encode()


def decode(body: bytes, count: int) -> list[Any]:
    """
    The results in the order of the requests; a refused one is its `NodeRefused`.

    Raises `Unavailable` for anything else than *count* answers.
    """
    try:
        answers = json.loads(body)
    except (ValueError, RecursionError):
        raise Unavailable("its answer is not JSON") from None
    if isinstance(answers, dict):
        answers = [{**answers, "id": 0}] if count == 1 else _not_a_batch(answers)
    try:
        by_id = {answer["id"]: _result(answer) for answer in answers}
        return [by_id[number] for number in range(count)]
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        raise Unavailable("its answer is not JSON-RPC") from None


@frozen
class Block:
    """A block's number and time (seconds since the epoch)."""

    number: int
    timestamp: int


def quantity(result: object) -> int:
    """Read a number of a result; raises `Unavailable` when it is none."""
    try:
        return int(str(result), 16)
    except ValueError:
        raise Unavailable(f"the node gave {str(result)[:20]!r} for a number") from None


class BatchRefused(Unavailable):
    """Raised when a node gave one error for a whole batch: it may take the calls one by one."""


def _not_a_batch(answer: dict[str, Any]) -> list[Any]:
    error = answer.get("error")
    text = error.get("message") if isinstance(error, dict) else None
    raise BatchRefused(f"it takes no batch: {text}")


def _result(answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    error = answer.get("error")
    if error is None:
        return answer["result"]
    if isinstance(error, str):
        return NodeRefused(0, error)
    code, message = int(error.get("code", 0)), str(error.get("message", "no reason given"))
    if code == _LIMITED or any(sign in message.lower() for sign in _LAGGING):
        raise Unavailable(message)
    return NodeRefused(code, message, _data(error.get("data")))


def _data(data: object) -> bytes:
    """Revert data, wherever nodes put it: as text, in an object, behind a word."""
    match data:
        case {"data": inner} | {"result": inner}:
            return _data(inner)
        case str():
            try:
                return bytes.fromhex(data.removeprefix("Reverted ").removeprefix("0x"))
            except ValueError:
                return b""
    return b""
