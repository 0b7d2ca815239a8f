"""
A contract for tasks with a callback: it remembers every result it is given.

PoCo grants a callback 100,000 gas, in which no contract can store more than a few words. This one
writes them to the log of the chain instead, which costs a hundredth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eth_abi.abi import decode
from eth_utils.crypto import keccak

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.rpc import Rpc
    from iexec_worker.devpool.chain.sender import Sender

_TOPIC: Final = keccak(text="Received(bytes32)")

# Of receiveResult(bytes32 task, bytes result): copy the call to 0; push its first argument (the
# task), the topic, the length and the place of the copy; LOG2.
_RUNTIME: Final = bytes.fromhex(f"363d3d376004357f{_TOPIC.hex()}363da200")
_CREATION: Final = bytes.fromhex(f"60{len(_RUNTIME):02x}8060093d393df3") + _RUNTIME


async def deploy_receiver(sender: Sender) -> str:
    """Deploy a receiver; returns its address, to be used as a deal's callback."""
    return (await sender.send(None, _CREATION)).contract


async def received(rpc: Rpc, receiver: str, task_id: str) -> bytes | None:
    """The result of *task_id* that reached the receiver last, None if none did."""
    logs = await rpc.logs(receiver, ["0x" + _TOPIC.hex(), task_id], first=0)
    if not logs:
        return None
    call = bytes.fromhex(logs[-1]["data"][2:])
    _, result = decode(["bytes32", "bytes"], call[4:])
    return bytes(result)
