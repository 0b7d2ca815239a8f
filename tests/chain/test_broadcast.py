from __future__ import annotations

import pytest

from iexec_worker.chain.node.rpc import NodeRefused
from iexec_worker.chain.transactions.broadcast import Answer, answer


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("already known", Answer.TAKEN),
        ("known transaction: 0xabc", Answer.TAKEN),
        ("Transaction with the same hash was already imported.", Answer.TAKEN),
        ("AlreadyKnown", Answer.TAKEN),
        ("nonce too low: next nonce 5, tx nonce 4", Answer.NONCE_TAKEN),
        ("Transaction nonce is too low. Try incrementing the nonce.", Answer.NONCE_TAKEN),
        ("OldNonce", Answer.NONCE_TAKEN),
        ("replacement transaction underpriced", Answer.UNDERPRICED),
        ("transaction underpriced", Answer.UNDERPRICED),
        ("FeeTooLow", Answer.UNDERPRICED),
        ("max fee per gas less than block base fee: address 0x1", Answer.UNDERPRICED),
        ("insufficient funds for gas * price + value", Answer.UNPAID),
        ("Insufficient funds. The account you tried to send from …", Answer.UNPAID),
        ("unknown transaction type", Answer.REFUSED),
        ("invalid sender", Answer.REFUSED),
    ],
)
def test_what_nodes_say(message: str, expected: Answer) -> None:
    assert answer(NodeRefused(-32000, message)) is expected


def test_no_error_is_taken() -> None:
    assert answer(None) is Answer.TAKEN
