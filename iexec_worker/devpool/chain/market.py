"""The people around a pool: who makes apps and datasets, who buys, who pays for gas and stakes."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen
from eth_utils.crypto import keccak

from iexec_worker.devpool.chain.orders import Purchase, as_json, offer, orders, struct, typed
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iexec_worker.devpool.chain.anvil import Node
    from iexec_worker.devpool.chain.contracts import Contract, Contracts
    from iexec_worker.devpool.chain.sender import Receipt, Sender

#: The hub counts in nRLC, the chain in wei.
WEI_PER_NRLC: Final = 10**9


@frozen
class Bought:
    """A deal, and the ids of its tasks, which need not be initialized yet."""

    deal_id: str
    task_ids: tuple[str, ...]


def params(
    args: str = "",
    *,
    input_files: Sequence[str] = (),
    proxy: str = "",
    provider: str = "ipfs",
    encryption: bool = False,
    secrets: Mapping[str, str] | None = None,
    bulk: str = "",
) -> str:
    """
    The JSON of a deal's parameters; *proxy*: a result proxy other than the pool's, by URL.

    *secrets*: number → name of a requester's secret. *bulk*: the CID of a bulk of datasets.
    """
    wanted = {
        "iexec_args": args,
        "iexec_input_files": list(input_files),
        "iexec_result_storage_provider": provider,
        "iexec_result_storage_proxy": proxy,
        "iexec_result_encryption": encryption,
        "iexec_secrets": dict(secrets or {}),
        "bulk_cid": bulk,
    }
    return json.dumps({key: value for key, value in wanted.items() if value})


def ipfs_location(content: bytes) -> bytes:
    """The binary multiaddress under which the pool's own gateway has *content*."""
    # Protocol 421 as a varint, 34 bytes follow: the multihash (sha2-256, 32 bytes) of a CIDv0.
    return b"\xa5\x03\x22\x12\x20" + sha256(content).digest()


def task_id(deal_id: str, index: int) -> str:
    """The id of task *index* of a deal."""
    return "0x" + keccak(bytes.fromhex(deal_id[2:]) + index.to_bytes(32, "big")).hex()


class Market:
    """
    A developer, a requester and a pool's owner, who agree to whatever is bought.

    Every method returns when its transactions are mined; raises Reverted when the contracts refuse
    one, Unavailable when the node is away.
    """

    def __init__(
        self,
        node: Node,
        contracts: Contracts,
        *,
        developer: Sender,
        requester: Sender,
        pool_owner: Sender,
    ) -> None:
        self._node = node
        self._contracts = contracts
        self._developer = developer
        self._pool_owner = pool_owner
        self._requester = requester
        # Two who register the same at once would both find that it is not there.
        self._registering = trio.Lock()

    async def deploy_app(
        self, image: str, *, name: str = "", checksum: str = ZERO_HASH, enclave: str = ""
    ) -> str:
        """Register container image *image* as an app; *enclave* is its TEE configuration (JSON)."""
        digest = bytes.fromhex(checksum[2:])
        values = (name or image, "DOCKER", image.encode(), digest, enclave.encode())
        return await self._register(self._contracts.apps, "App", self._developer, *values)

    async def deploy_dataset(
        self, location: bytes, *, name: str = "", checksum: str = ZERO_HASH
    ) -> str:
        """Register a dataset; *location* is a URL as UTF-8, or a binary multiaddress."""
        values = (name, location, bytes.fromhex(checksum[2:]))
        return await self._register(self._contracts.datasets, "Dataset", self._developer, *values)

    async def deploy_workerpool(self, description: str) -> str:
        """Register a workerpool of the pool's owner."""
        registry = self._contracts.workerpools
        return await self._register(registry, "Workerpool", self._pool_owner, description)

    def offer(self, workerpool: str, category: int, tag: str = ZERO_HASH) -> dict[str, str]:
        """Sign a workerpool's order, see `orders.offer`; returns it as the iExec SDK has it."""
        order = offer(workerpool, category, tag)
        return as_json(order, self._sign("WorkerpoolOrder", order))

    async def buy(self, purchase: Purchase) -> Bought:
        """Sign the orders, match them, and make the deposits that takes."""
        await self._pay(purchase)
        hub = self._contracts.hub
        made = orders(purchase, self._requester.address)
        structs = [struct(kind, order, self._sign(kind, order)) for kind, order in made.items()]
        receipt = await self._requester.send(hub.address, hub.abi.call("matchOrders", *structs))
        return self._bought(receipt)

    async def deposit(self, address: str, nrlc: int) -> None:
        """Add to the deposit of *address* in the hub, paid by the requester."""
        hub = self._contracts.hub
        call = hub.abi.call("depositFor", address)
        await self._requester.send(hub.address, call, value=nrlc * WEI_PER_NRLC)

    async def fund_worker(self, address: str, *, gas_wei: int, stake_nrlc: int) -> None:
        """Give a worker's wallet exactly *gas_wei*, and *stake_nrlc* more in the hub."""
        await self._node.set_balance(address, gas_wei)
        if stake_nrlc:
            await self.deposit(address, stake_nrlc)

    async def _register(self, registry: Contract, kind: str, owner: Sender, *values: object) -> str:
        """An asset's address follows from what it is: registering the same again finds it."""
        rpc, abi = self._node.rpc, registry.abi
        arguments = (owner.address, *values)
        address = str(await rpc.view(registry.address, abi, f"predict{kind}", *arguments))
        async with self._registering:
            if not await rpc.view(registry.address, abi, "isRegistered", address):
                await owner.send(registry.address, abi.call(f"create{kind}", *arguments))
        return address

    async def _pay(self, purchase: Purchase) -> None:
        """The hub takes the price from the requester, and 30 % of the pool's from the pool."""
        price = purchase.app_price + purchase.dataset_price + purchase.workerpool_price
        if price:
            await self.deposit(self._requester.address, price * purchase.volume)
        if stake := purchase.workerpool_price * 30 // 100 * purchase.volume:
            await self.deposit(self._pool_owner.address, stake)

    def _sign(self, kind: str, order: dict[str, object]) -> bytes:
        if kind == "DatasetOrder" and order["dataset"] == ZERO_ADDRESS:
            return b""
        signer = {"WorkerpoolOrder": self._pool_owner, "RequestOrder": self._requester}
        message = typed(kind, order, self._contracts.chain_id, self._contracts.hub.address)
        return signer.get(kind, self._developer).sign_typed(message)

    def _bought(self, receipt: Receipt) -> Bought:
        topic = self._contracts.hub.abi.topic("OrdersMatched")
        log = next(log for log in receipt.logs if log["topics"][0] == topic)
        matched = self._contracts.hub.abi.data("OrdersMatched", bytes.fromhex(log["data"][2:]))
        deal_id = "0x" + matched["dealid"].hex()
        # The request order is new, so that its tasks count from 0.
        return Bought(deal_id, tuple(task_id(deal_id, i) for i in range(matched["volume"])))
