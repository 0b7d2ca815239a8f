"""What a receipt proves. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iexec_worker.model import ChainReceipt

if TYPE_CHECKING:
    from iexec_worker.chain.calls import Call


def succeeded(receipt: dict[str, Any]) -> bool:
    """True iff the transaction was not reverted."""
    return int(receipt["status"], 16) == 1


def chain_receipt(receipt: dict[str, Any], call: Call) -> ChainReceipt | None:
    """Where the hub logged the event of *call* for its task; None if it did not."""
    for log in receipt["logs"] if succeeded(receipt) else []:
        topics = [topic.lower() for topic in log["topics"][:2]]
        from_hub = log["address"].lower() == call.to.lower()
        if from_hub and topics == [call.kind.event_topic, call.task_id.lower()]:
            return _at(log["blockNumber"], receipt)
    return None


def problem(receipt: dict[str, Any], call: Call) -> str:
    """Why a mined transaction did not do what it should, as far as the receipt says."""
    if succeeded(receipt):
        return "it was mined without the hub's event"
    if int(receipt["gasUsed"], 16) >= call.gas:
        return f"it used up its {call.gas} gas"
    return ""


def mined_at(receipt: dict[str, Any]) -> ChainReceipt:
    """Where the transaction was mined, whatever it did."""
    return _at(receipt["blockNumber"], receipt)


def _at(block: str, receipt: dict[str, Any]) -> ChainReceipt:
    return ChainReceipt(int(block, 16), receipt["transactionHash"].lower())
