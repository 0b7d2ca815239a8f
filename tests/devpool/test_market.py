from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from eth_utils.crypto import keccak

from iexec_worker.chain.multiaddress import decode_multiaddress
from iexec_worker.devpool.chain.market import ipfs_location, params
from iexec_worker.devpool.chain.orders import FIELDS, Purchase, orders
from iexec_worker.devpool.ipfs import cid
from iexec_worker.errors import Reverted

if TYPE_CHECKING:
    from tests.devpool.conftest import Village


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("AppOrder", "60815a0e"),
        ("DatasetOrder", "6cfc932a"),
        ("WorkerpoolOrder", "aa3429fb"),
        ("RequestOrder", "f24e8530"),
    ],
)
def test_orders_have_the_fields_of_the_contracts(kind: str, begins: str) -> None:
    fields = ",".join(f"{type_} {name}" for name, type_ in FIELDS[kind])
    assert keccak(text=f"{kind}({fields})").hex().startswith(begins)


def test_no_two_orders_are_the_same() -> None:
    purchase = Purchase(app="0x" + 40 * "1", workerpool="0x" + 40 * "2", category=0)
    assert orders(purchase, "0x" + 40 * "3") != orders(purchase, "0x" + 40 * "3")


def test_params_hold_only_what_is_wanted() -> None:
    assert json.loads(params("a b")) == {
        "iexec_args": "a b",
        "iexec_result_storage_provider": "ipfs",
    }
    assert json.loads(params(input_files=["u"], provider="", proxy="p")) == {
        "iexec_input_files": ["u"],
        "iexec_result_storage_proxy": "p",
    }


def test_a_dataset_in_ipfs_is_found_by_the_worker_where_the_gateway_has_it() -> None:
    address = decode_multiaddress(ipfs_location(b"content"))
    assert address.rpartition("/")[2] == cid(b"content")


@pytest.mark.node
@pytest.mark.slow
async def test_registering_the_same_asset_again_finds_it(village: Village) -> None:
    first = await village.market.deploy_dataset(b"http://host/data", checksum="0x" + 64 * "5")
    assert first == await village.market.deploy_dataset(
        b"http://host/data", checksum="0x" + 64 * "5"
    )
    assert first != await village.market.deploy_dataset(b"http://host/data")

    hub = village.contracts.hub
    seen = await village.node.rpc.view(hub.address, hub.abi, "viewDataset", first)
    assert seen["m_datasetMultiaddr"] == b"http://host/data"
    assert seen["m_datasetChecksum"].hex() == 64 * "5"


@pytest.mark.node
@pytest.mark.slow
async def test_an_app_is_its_image(village: Village) -> None:
    hub = village.contracts.hub
    seen = await village.node.rpc.view(hub.address, hub.abi, "viewApp", village.app)
    assert (seen["m_appType"], seen["m_appMultiaddr"]) == ("DOCKER", b"127.0.0.1:5000/app:1.0")


@pytest.mark.node
@pytest.mark.slow
async def test_a_deal_with_a_dataset_pays_everybody(village: Village) -> None:
    dataset = await village.market.deploy_dataset(b"http://host/data")
    bought = await village.buy(
        dataset=dataset, app_price=3, dataset_price=4, workerpool_price=500, volume=2
    )

    deal = await village.chain.deal(bought.deal_id)
    assert deal is not None
    assert (deal.app.price, deal.dataset.price, deal.workerpool.price) == (3, 4, 500)
    assert deal.dataset.pointer == dataset
    assert deal.worker_stake == 150


@pytest.mark.node
@pytest.mark.slow
async def test_what_the_contracts_refuse_is_told(village: Village) -> None:
    with pytest.raises(Reverted, match="iExecV5-matchOrders-0x01"):
        await village.buy(category=99)
