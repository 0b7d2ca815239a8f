"""A key that signs, and sends transactions one after the other."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import frozen
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address

from iexec_worker.errors import Reverted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from eth_account.signers.local import LocalAccount

    from iexec_worker.devpool.chain.rpc import Rpc

#: An estimate is what the call needs in the block of the question. 20 % more for the next one.
_GAS_PER_ESTIMATE: Final = 1.2


@frozen
class Receipt:
    """A transaction that was mined and succeeded; *contract* is the one it made, if it made one."""

    tx_hash: str
    block_number: int
    contract: str
    logs: tuple[dict[str, Any], ...]


class Sender:
    """One private key. Two senders with one key would take the same nonces: make one per key."""

    def __init__(self, rpc: Rpc, key: str, chain_id: int) -> None:
        self._rpc = rpc
        self._account: LocalAccount = Account.from_key(key)
        self._chain_id = chain_id
        self._turn = trio.Lock()
        self.address = self._account.address.lower()

    async def send(
        self, to: str | None, data: bytes = b"", *, value: int = 0, spare_gas: int = 0
    ) -> Receipt:
        """
        Send a transaction and wait until it is mined; *to* None makes a contract.

        Gas is estimated plus *spare_gas*. Raises Reverted when the contract refuses, before
        anything was sent if the node can tell. Cancelled while waiting, the transaction stays sent.
        """
        # Checksummed addresses, because eth-account signs for no others.
        call = {"from": self._account.address, "data": "0x" + data.hex(), "value": hex(value)}
        if to is not None:
            call["to"] = to_checksum_address(to)
        async with self._turn:
            transaction = await self._complete(call, spare_gas)
            raw = self._account.sign_transaction(transaction).raw_transaction
            receipt = await self._rpc.call("eth_sendRawTransactionSync", "0x" + bytes(raw).hex())
        return self._checked(receipt)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Send nothing while the block runs; it begins when what was sent is mined."""
        async with self._turn:
            yield

    def sign_prefixed(self, hash_hex: str) -> str:
        """The signature of a 32-byte hash with the Ethereum prefix: 65 bytes, v 27 or 28."""
        signed = self._account.sign_message(encode_defunct(hexstr=hash_hex))
        return "0x" + signed.signature.hex().removeprefix("0x")

    def sign_typed(self, message: dict[str, Any]) -> bytes:
        """The EIP-712 signature of a whole message (types, domain, primary type, values)."""
        return bytes(self._account.sign_typed_data(full_message=message).signature)

    async def _complete(self, call: dict[str, Any], spare_gas: int) -> dict[str, Any]:
        gas, price, nonce = await self._rpc.batch(
            ("eth_estimateGas", [call]),
            ("eth_gasPrice", []),
            ("eth_getTransactionCount", [self.address, "pending"]),
        )
        return call | {
            "gas": int(int(gas, 16) * _GAS_PER_ESTIMATE) + spare_gas,
            "gasPrice": int(price, 16),
            "nonce": int(nonce, 16),
            "chainId": self._chain_id,
        }

    @staticmethod
    def _checked(receipt: dict[str, Any]) -> Receipt:
        if int(receipt["status"], 16) != 1:
            raise Reverted(f"transaction {receipt['transactionHash']} was mined and reverted")
        return Receipt(
            tx_hash=receipt["transactionHash"],
            block_number=int(receipt["blockNumber"], 16),
            contract=receipt.get("contractAddress") or "",
            logs=tuple(receipt["logs"]),
        )
