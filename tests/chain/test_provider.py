from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio

from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.node.rpc import NodeRefused, Request
from iexec_worker.errors import Unavailable

from .conftest import Handler, HangUp, MakeNode, MakeProvider, RpcError


async def echo(method: str, params: list[Any]) -> object:
    return [method, *params]


async def chain_7(method: str, params: list[Any]) -> object:
    return "0x7"


async def hang_up(method: str, params: list[Any]) -> object:
    raise HangUp


async def test_a_call_is_one_request(make_node: MakeNode, make_provider: MakeProvider) -> None:
    node = await make_node(echo)

    assert await make_provider(node.url).call("eth_call", 1, "x") == ["eth_call", 1, "x"]
    assert node.bodies == [{"jsonrpc": "2.0", "id": 0, "method": "eth_call", "params": [1, "x"]}]


async def test_a_batch_is_one_request_and_keeps_its_order(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    node = await make_node(echo)
    wanted = [Request("a", (1,)), Request("b"), Request("c", (2,))]

    assert await make_provider(node.url).batch(wanted) == [["a", 1], ["b"], ["c", 2]]
    assert len(node.bodies) == 1


async def test_a_node_that_takes_no_batch_is_asked_one_by_one(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    node = await make_node(echo, batches=False)

    assert await make_provider(node.url).batch([Request("a"), Request("b")]) == [["a"], ["b"]]


async def test_a_refusal_in_a_batch_leaves_the_others(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    async def one_refused(method: str, params: list[Any]) -> object:
        if method == "bad":
            raise RpcError(-32601, "unknown method")
        return method

    provider = make_provider((await make_node(one_refused)).url)
    good, bad = await provider.answers([Request("good"), Request("bad")])

    assert good == "good"
    assert isinstance(bad, NodeRefused)
    with pytest.raises(NodeRefused, match=r"unknown method \(-32601\)"):
        await provider.batch([Request("good"), Request("bad")])


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, b"<html>down</html>", "its answer is not JSON"),
        (200, b"{}", "its answer is not JSON-RPC"),
        (502, b"<html>bad gateway</html>", "HTTP status 502"),
        (429, b"", "HTTP status 429"),
    ],
)
async def test_an_unusable_answer_names_the_host(
    status: int, body: bytes, text: str, make_node: MakeNode, make_provider: MakeProvider
) -> None:
    node = await make_node(raw=(status, body))
    host = node.url.removeprefix("http://")

    with pytest.raises(Unavailable) as caught:
        await make_provider(node.url).call("eth_chainId")

    assert str(caught.value) == f"node {host}: {text}"


async def test_a_refusal_with_status_400_is_still_a_refusal(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    body = b'{"jsonrpc": "2.0", "id": 0, "error": {"code": 3, "message": "execution reverted"}}'
    node = await make_node(raw=(400, body))

    with pytest.raises(NodeRefused, match="execution reverted"):
        await make_provider(node.url).call("eth_call")


@pytest.mark.parametrize("path", ["/v3/s3cret", "/?key=s3cret"])
async def test_no_error_shows_credentials_or_keys_in_urls(
    path: str, make_provider: MakeProvider
) -> None:
    provider = make_provider(f"http://user:s3cret@127.0.0.1:1{path}")

    with pytest.raises(Unavailable) as caught:
        await provider.call("eth_chainId")

    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert caught.value.__cause__ is None
    assert provider.host == "127.0.0.1:1"


async def test_credentials_in_the_url_are_sent_to_the_node(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    node = await make_node(chain_7)

    await make_provider(node.url.replace("//", "//user:pass@")).call("eth_chainId")

    assert node.headers[0]["authorization"].startswith("Basic ")


async def test_a_node_that_fails_is_left_for_the_next_and_not_asked_again(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    first, second = await make_node(hang_up), await make_node(chain_7)
    provider = make_provider(first.url, second.url)

    assert [await provider.call("eth_chainId") for _ in range(3)] == 3 * ["0x7"]
    assert len(first.bodies) == 1
    assert provider.host in second.url


async def test_without_any_node_all_are_named(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    first, second = await make_node(hang_up), await make_node(raw=(503, b""))

    with pytest.raises(Unavailable) as caught:
        await make_provider(first.url, second.url).call("eth_chainId")

    for node in (first, second):
        assert node.url.removeprefix("http://") in str(caught.value)


async def test_many_requests_that_fail_at_once_move_on_once(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    bad, good, spare = await make_node(hang_up), await make_node(chain_7), await make_node(chain_7)
    provider = make_provider(bad.url, good.url, spare.url)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(provider.call, "eth_chainId")

    assert provider.host in good.url


async def test_a_node_that_lags_several_blocks_is_left(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    heads = [10, 13]
    nodes = []
    for number in range(2):

        async def head(method: str, params: list[Any], number: int = number) -> object:
            return hex(heads[number])

        nodes.append(await make_node(head))
    provider = make_provider(*(node.url for node in nodes))

    await provider.prefer_freshest()
    assert provider.host in nodes[0].url

    heads[1] = 14
    await provider.prefer_freshest()
    assert provider.host in nodes[1].url


def of_chain(number: int, head: int = 10) -> Handler:
    async def answer(method: str, params: list[Any]) -> object:
        return {"eth_chainId": hex(number), "eth_blockNumber": hex(head)}.get(method, "stranger")

    return answer


async def test_a_node_of_another_chain_is_never_asked_instead(
    make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    first, other = await make_node(hang_up), await make_node(of_chain(5))
    provider = NodeProvider(client, [first.url, other.url], chain_id=7)

    with pytest.raises(Unavailable, match="it is of chain 5, the pool works on chain 7"):
        await provider.call("eth_getBalance")

    assert other.methods == ["eth_chainId"]


async def test_a_node_of_the_same_chain_is_compared_once(
    make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    first, second = await make_node(hang_up), await make_node(of_chain(7))
    provider = NodeProvider(client, [first.url, second.url], chain_id=7)

    assert [await provider.call("eth_call") for _ in range(2)] == ["stranger", "stranger"]
    assert second.methods == ["eth_chainId", "eth_call", "eth_call"]
    # Who made the provider has compared the first.
    assert first.methods == ["eth_call"]


async def test_a_node_that_was_left_is_compared_when_it_is_back(
    make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    first, second = await make_node(hang_up), await make_node(of_chain(7))
    provider = NodeProvider(client, [first.url, second.url], chain_id=7)
    await provider.call("eth_call")
    first.handler, second.handler = of_chain(5), hang_up

    with pytest.raises(Unavailable, match="of chain 5"):
        await provider.call("eth_call")
    assert first.methods == ["eth_call", "eth_chainId"]


@pytest.mark.parametrize("told", [None, "what?", RpcError(-32601, "unknown method")])
async def test_a_node_that_tells_no_chain_is_not_asked_instead(
    told: object, make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    async def tell(method: str, params: list[Any]) -> object:
        if isinstance(told, Exception):
            raise told
        return told

    first, other = await make_node(hang_up), await make_node(tell)
    provider = NodeProvider(client, [first.url, other.url], chain_id=7)

    with pytest.raises(Unavailable, match="does not say of which chain it is"):
        await provider.call("eth_getBalance")


@pytest.mark.parametrize("told", [None, "what?", {}, {"number": "0x1"}, [1]])
async def test_a_head_or_a_chain_that_cannot_be_read_is_no_answer(
    told: object, make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    async def tell(method: str, params: list[Any]) -> object:
        return told

    provider = NodeProvider(client, [(await make_node(tell)).url], chain_id=7)

    with pytest.raises(Unavailable):
        await provider.head()
    with pytest.raises(Unavailable):
        await provider.chain_id()


async def test_a_node_of_another_chain_is_not_preferred_however_high_its_blocks(
    make_node: MakeNode, client: httpx.AsyncClient
) -> None:
    ours, other = await make_node(of_chain(7, 10)), await make_node(of_chain(5, 1000))
    provider = NodeProvider(client, [ours.url, other.url], chain_id=7)

    await provider.prefer_freshest()

    assert provider.host in ours.url


async def test_a_call_that_is_cancelled_ends_at_once(
    make_node: MakeNode, make_provider: MakeProvider
) -> None:
    async def never(method: str, params: list[Any]) -> object:
        await trio.sleep_forever()

    provider = make_provider((await make_node(never)).url)

    with trio.fail_after(2), trio.move_on_after(0.05) as scope:
        await provider.call("eth_chainId")
    assert scope.cancelled_caught


async def test_a_silent_node_is_unavailable(make_node: MakeNode) -> None:
    async def never(method: str, params: list[Any]) -> object:
        await trio.sleep_forever()

    async with httpx.AsyncClient(trust_env=False, timeout=0.05) as client:
        with pytest.raises(Unavailable, match="no answer in time"):
            await NodeProvider(client, [(await make_node(never)).url]).call("eth_chainId")
