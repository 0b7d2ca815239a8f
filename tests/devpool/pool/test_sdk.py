from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from iexec_worker.devpool import sdk
from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.market import task_id
from iexec_worker.devpool.chain.orders import FIELDS, Purchase, orders, struct, typed

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.devpool.pool import Pool

pytestmark = [pytest.mark.node, pytest.mark.slow]

#: It refuses a chain.json with any other key.
CHAIN_KEYS: Final = {"id", "host", "hub", "sms", "ipfsGateway", "iexecGateway"}


async def test_the_chain_has_exactly_the_keys_that_the_sdk_takes(pool: Pool) -> None:
    chain = sdk.files(pool)["chain.json"]

    assert set(chain) == {"default", "chains"}
    assert set(chain["chains"]) == {chain["default"]}
    assert set(chain["chains"]["devpool"]) == CHAIN_KEYS
    assert all(isinstance(value, str) for value in chain["chains"]["devpool"].values())
    assert chain["chains"]["devpool"]["ipfsGateway"] == pool.result_proxy_url


async def test_the_order_of_the_pool_is_matched_by_what_a_stranger_signs(pool: Pool) -> None:
    found = sdk.files(pool)
    stranger = pool.node.sender(found["wallet.json"]["privateKey"])
    hub = pool.village.contracts.hub
    purchase = Purchase(
        app=await pool.market.deploy_app("registry/app:1.0"),
        workerpool=pool.chain.pool_address,
        category=category_id(3_600),
        workerpool_price=0,
    )
    developer = pool.node.sender(pool.node.keys[2])
    made = orders(purchase, stranger.address)
    signed = {"DatasetOrder": struct("DatasetOrder", made["DatasetOrder"], b"")}
    for kind, signer in (("AppOrder", developer), ("RequestOrder", stranger)):
        message = typed(kind, made[kind], pool.chain.chain_id, pool.chain.hub)
        signed[kind] = struct(kind, made[kind], signer.sign_typed(message))
    signed["WorkerpoolOrder"] = _struct(found["orders.json"]["65535"]["workerpoolorder"])
    await stranger.send(
        hub.address, hub.abi.call("matchOrders", *(signed[kind] for kind in FIELDS))
    )

    (deal,), _ = await pool.chain.deals_since(0)
    # Nobody told the pool: it has seen the notice on the chain.
    with trio.fail_after(20):
        await pool.task_status(task_id(deal, 0), "INITIALIZED")


def _struct(order: dict[str, str]) -> tuple[Any, ...]:
    """Make of an order of the SDK's what `matchOrders` takes."""
    values: dict[str, Any] = {}
    for name, type_ in FIELDS["WorkerpoolOrder"]:
        text = order[name]
        values[name] = _READ[type_](text)
    return (*values.values(), _bytes(order["sign"]))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


_READ: Final[dict[str, Callable[[str], Any]]] = {"uint256": int, "bytes32": _bytes, "address": str}
