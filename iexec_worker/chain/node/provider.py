"""The blockchain node, or several: requests go to one until it fails or falls behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx
import structlog

from iexec_worker.chain.node.rpc import (
    BatchRefused,
    Block,
    NodeRefused,
    Request,
    decode,
    encode,
    quantity,
)
from iexec_worker.errors import Unavailable
from iexec_worker.transport import why

if TYPE_CHECKING:
    from collections.abc import Sequence

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Blocks a node may be behind another. Two nodes of one healthy network differ by one or two.
TOLERATED_LAG: Final = 3

_JSON: Final = {"Content-Type": "application/json"}


class NodeProvider:
    """
    JSON-RPC over *client* (which the caller closes) with the nodes at *urls*, in this order.

    Whoever makes this compares the chain of the first; each to which it moves on has to be of
    *chain_id* before it is asked anything else.

    Every method raises `Unavailable` when no node gives a usable answer, and `NodeRefused` when
    one answers with an error. Texts name hosts only: paths and log-ins of URLs are secrets.
    """

    def __init__(
        self, client: httpx.AsyncClient, urls: Sequence[str], chain_id: int | None = None
    ) -> None:
        assert urls, "a provider needs a node"
        self._client = client
        self._urls = [httpx.URL(url) for url in urls]
        self._current = 0
        self._chain_id = chain_id
        #: Nodes whose chain was compared, and that were not left since.
        self._known = {0}

    @property
    def host(self) -> str:
        """Host and port of the node that is asked now."""
        return _host(self._urls[self._current])

    async def call(self, method: str, *params: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one request."""
        (result,) = await self.batch([Request(method, params)])
        return result

    async def head(self) -> Block:
        """Return the latest block. Raises `Unavailable`, also for an answer that is none."""
        answer = await self.call("eth_getBlockByNumber", "latest", False)
        try:
            return Block(quantity(answer["number"]), quantity(answer["timestamp"]))
        except (TypeError, KeyError):
            raise Unavailable(f"node {self.host} answered no block") from None

    async def chain_id(self) -> int:
        """Return the id of the node's chain. Raises `Unavailable`, also when it does not say."""
        return quantity(await self.call("eth_chainId"))

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Make independent requests at once; the first that was refused is raised."""
        results = await self.answers(requests)
        for result in results:
            if isinstance(result, NodeRefused):
                raise result
        return results

    async def answers(self, requests: Sequence[Request]) -> list[Any]:
        """Make independent requests at once; one that was refused has its `NodeRefused`."""
        problems = []
        for _ in self._urls:
            asked = self._current
            url = self._urls[asked]
            try:
                await self._get_to_know(asked)
                return await self._ask(url, requests)
            except Unavailable as error:
                problems.append(f"node {_host(url)}: {error}")
                self._leave(asked, str(error))
        raise Unavailable("; ".join(problems))

    async def prefer_freshest(self) -> None:
        """Ask every node for its head; leave the current one if it is several blocks behind."""
        heads = {}
        for number, url in enumerate(self._urls):
            try:
                await self._get_to_know(number)
                (head,) = await self._ask(url, [Request("eth_blockNumber")])
                heads[number] = int(head, 16)
            except (Unavailable, TypeError, ValueError):
                continue
        if not heads:
            return
        best = max(heads, key=lambda number: (heads[number], -number))
        if heads[best] > heads.get(self._current, -1) + TOLERATED_LAG:
            behind = heads[best] - heads.get(self._current, 0)
            self._move(best, f"{behind} blocks behind")

    @property
    def alternatives(self) -> int:
        """How many other nodes there are."""
        return len(self._urls) - 1

    async def _get_to_know(self, number: int) -> None:
        """Raise `Unavailable` when a node that is not known is of another chain than the pool."""
        if self._chain_id is None or number in self._known:
            return
        (told,) = await self._ask(self._urls[number], [Request("eth_chainId")])
        try:
            found = quantity(told)
        except Unavailable:
            raise Unavailable("it does not say of which chain it is") from None
        if found != self._chain_id:
            raise Unavailable(f"it is of chain {found}, the pool works on chain {self._chain_id}")
        self._known.add(number)

    def _leave(self, asked: int, reason: str) -> None:
        # Requests run side by side: only the first that fails moves on, not each of them.
        if self.alternatives and self._current == asked:
            self._move((asked + 1) % len(self._urls), reason)

    def _move(self, number: int, reason: str) -> None:
        log.warning("node left", host=self.host, reason=reason)
        self._known.discard(self._current)
        self._current = number

    async def _ask(self, url: httpx.URL, requests: Sequence[Request]) -> list[Any]:
        try:
            return await self._post(url, requests)
        except BatchRefused:
            return [(await self._post(url, [request]))[0] for request in requests]

    async def _post(self, url: httpx.URL, requests: Sequence[Request]) -> list[Any]:
        try:
            response = await self._client.post(url, content=encode(requests), headers=_JSON)
        except httpx.TimeoutException:
            raise Unavailable("no answer in time") from None
        except httpx.HTTPError as error:
            # Not chained: the request in it shows the whole URL.
            raise Unavailable(why(error)) from None
        return _read(response, len(requests))


def _read(response: httpx.Response, count: int) -> list[Any]:
    """Some nodes answer refusals with 400 or 500: what counts is whether it is JSON-RPC."""
    try:
        return decode(response.content, count)
    except BatchRefused:
        raise
    except Unavailable:
        if response.is_success:
            raise
        raise Unavailable(f"HTTP status {response.status_code}") from None


def _host(url: httpx.URL) -> str:
    return url.netloc.decode("ascii").rpartition("@")[2]
