"""
The four orders of a deal and what their owners sign (EIP-712). Sans-IO.

An order is a mapping of the contracts' field names to values; bytes32 fields are bytes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Mapping

Order = dict[str, Any]

_DOMAIN: Final = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)

#: The fields in the order in which they are hashed, and passed to `matchOrders`.
FIELDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "AppOrder": (
        ("app", "address"),
        ("appprice", "uint256"),
        ("volume", "uint256"),
        ("tag", "bytes32"),
        ("datasetrestrict", "address"),
        ("workerpoolrestrict", "address"),
        ("requesterrestrict", "address"),
        ("salt", "bytes32"),
    ),
    "DatasetOrder": (
        ("dataset", "address"),
        ("datasetprice", "uint256"),
        ("volume", "uint256"),
        ("tag", "bytes32"),
        ("apprestrict", "address"),
        ("workerpoolrestrict", "address"),
        ("requesterrestrict", "address"),
        ("salt", "bytes32"),
    ),
    "WorkerpoolOrder": (
        ("workerpool", "address"),
        ("workerpoolprice", "uint256"),
        ("volume", "uint256"),
        ("tag", "bytes32"),
        ("category", "uint256"),
        ("trust", "uint256"),
        ("apprestrict", "address"),
        ("datasetrestrict", "address"),
        ("requesterrestrict", "address"),
        ("salt", "bytes32"),
    ),
    "RequestOrder": (
        ("app", "address"),
        ("appmaxprice", "uint256"),
        ("dataset", "address"),
        ("datasetmaxprice", "uint256"),
        ("workerpool", "address"),
        ("workerpoolmaxprice", "uint256"),
        ("requester", "address"),
        ("volume", "uint256"),
        ("tag", "bytes32"),
        ("category", "uint256"),
        ("trust", "uint256"),
        ("beneficiary", "address"),
        ("callback", "address"),
        ("params", "string"),
        ("salt", "bytes32"),
    ),
}


@frozen
class Purchase:
    """
    What a requester buys: *volume* tasks of one app at one pool. Prices are nRLC per task.

    *params* is the JSON of the deal's parameters, *tag* 32 bytes as hex.
    """

    app: str
    workerpool: str
    category: int
    dataset: str = ZERO_ADDRESS
    params: str = "{}"
    trust: int = 1
    tag: str = ZERO_HASH
    beneficiary: str = ZERO_ADDRESS
    callback: str = ZERO_ADDRESS
    volume: int = 1
    app_price: int = 0
    dataset_price: int = 0
    workerpool_price: int = 1_000


def orders(purchase: Purchase, requester: str) -> dict[str, Order]:
    """The orders, by kind, that match into *purchase*; without a dataset its order is all zeros."""
    terms = {"volume": purchase.volume, "tag": bytes.fromhex(purchase.tag[2:])}
    effort = {"category": purchase.category, "trust": purchase.trust}
    return {
        "AppOrder": _order("AppOrder", terms, app=purchase.app, appprice=purchase.app_price),
        "DatasetOrder": _dataset_order(purchase, terms),
        "WorkerpoolOrder": _order(
            "WorkerpoolOrder",
            terms | effort,
            workerpool=purchase.workerpool,
            workerpoolprice=purchase.workerpool_price,
        ),
        "RequestOrder": _order(
            "RequestOrder",
            terms | effort,
            app=purchase.app,
            appmaxprice=purchase.app_price,
            dataset=purchase.dataset,
            datasetmaxprice=purchase.dataset_price,
            workerpool=purchase.workerpool,
            workerpoolmaxprice=purchase.workerpool_price,
            requester=requester,
            beneficiary=purchase.beneficiary,
            callback=purchase.callback,
            params=purchase.params,
        ),
    }


def offer(workerpool: str, category: int, tag: str = ZERO_HASH) -> Order:
    """
    The order of a pool that gives tasks of one category away, as many as anybody wants.

    Requests of standard tasks match it, and of the TEE framework that *tag* is of. It may be of
    one only: the iExec SDK takes no order with two. They may ask for a trust of up to 10.
    """
    terms = {"volume": 1_000_000, "tag": bytes.fromhex(tag[2:]), "category": category, "trust": 10}
    return _order(
        "WorkerpoolOrder",
        terms,
        workerpool=workerpool,
    )


def as_json(order: Order, signature: bytes) -> dict[str, str]:
    """The signed order as the iExec SDK writes it."""
    signed = {**order, "sign": signature}
    return {k: "0x" + v.hex() if isinstance(v, bytes) else str(v) for k, v in signed.items()}


def typed(kind: str, order: Order, chain_id: int, hub: str) -> dict[str, Any]:
    """The EIP-712 message whose signature makes *order* binding on that hub."""
    return {
        "types": {"EIP712Domain": _members(_DOMAIN), kind: _members(FIELDS[kind])},
        "primaryType": kind,
        "domain": {
            "name": "iExecODB",
            "version": "5.0.0",
            "chainId": chain_id,
            "verifyingContract": hub,
        },
        "message": order,
    }


def struct(kind: str, order: Order, signature: bytes) -> tuple[Any, ...]:
    """The signed order as `matchOrders` takes it."""
    return (*(order[name] for name, _ in FIELDS[kind]), signature)


def _order(kind: str, terms: Mapping[str, Any], **values: object) -> Order:
    """An order without restrictions, never made before: its salt is new."""
    blank: Order = {name: 0 if type_ == "uint256" else ZERO_ADDRESS for name, type_ in FIELDS[kind]}
    return {**blank, **terms, **values, "salt": secrets.token_bytes(32)}


def _dataset_order(purchase: Purchase, terms: Mapping[str, Any]) -> Order:
    if purchase.dataset == ZERO_ADDRESS:
        return _order("DatasetOrder", {"tag": bytes(32)})
    return _order(
        "DatasetOrder", terms, dataset=purchase.dataset, datasetprice=purchase.dataset_price
    )


def _members(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": type_} for name, type_ in fields]
