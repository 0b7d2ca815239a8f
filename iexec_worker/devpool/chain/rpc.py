"""A JSON-RPC client for the node of the embedded pool: one request per call, no retries."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import httpx

from iexec_worker.errors import Rejected, Reverted, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iexec_worker.devpool.chain.abi import Abi

#: JSON-RPC error codes of a refused call: geth's and anvil's "execution reverted", and the general
#: "transaction rejected".
_REVERTED: Final = (3, -32003)


class Rpc:
    """
    One node.

    Raises Unavailable when there is no usable answer, Reverted when a contract refuses, Rejected
    when the node does. Requests end at once when they are cancelled.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._ids = itertools.count(1)
        self.url = url

    async def call(self, method: str, *params: object) -> Any:  # noqa: ANN401  # JSON
        """The result of one method."""
        return self._result(method, await self._post(self._request(method, params)))

    async def batch(self, *calls: tuple[str, Sequence[object]]) -> list[Any]:
        """The results of several methods, asked in one request."""
        requests = [self._request(method, params) for method, params in calls]
        answers = {a.get("id"): a for a in await self._post(requests)}
        return [self._result(r["method"], answers[r["id"]]) for r in requests]

    async def view(self, address: str, abi: Abi, function: str, *values: object) -> Any:  # noqa: ANN401
        """What *function* of the contract returns now."""
        data = "0x" + abi.call(function, *values).hex()
        raw = await self.call("eth_call", {"to": address, "data": data}, "latest")
        return abi.result(function, bytes.fromhex(raw[2:]))

    async def logs(
        self, address: str, topics: Sequence[str], *, first: int, last: int | None = None
    ) -> list[dict[str, Any]]:
        """The logs of a contract from block *first* to *last* (None: the head), in order."""
        query = {
            "address": address,
            "topics": topics,
            "fromBlock": hex(first),
            "toBlock": "latest" if last is None else hex(last),
        }
        found: list[dict[str, Any]] = await self.call("eth_getLogs", query)
        return found

    def _request(self, method: str, params: Sequence[object]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    async def _post(self, body: object) -> Any:  # noqa: ANN401
        try:
            answer = await self._client.post(self.url, json=body)
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"node {self.url} gave no answer: {error!r}") from error

    @staticmethod
    def _result(method: str, answer: dict[str, Any]) -> Any:  # noqa: ANN401
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        kind = Reverted if error.get("code") in _REVERTED else Rejected
        raise kind(f"{method}: {error.get('message')} {error.get('data') or ''}".rstrip())
