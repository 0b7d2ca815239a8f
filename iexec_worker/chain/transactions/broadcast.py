"""What a node says to a transaction that is handed to it. Sans-IO."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from iexec_worker.chain.node.rpc import NodeRefused


class Answer(enum.Enum):
    """What became of it; the rest of what nodes say is a refusal for good."""

    TAKEN = "it is in the pool, now or since before"
    NONCE_TAKEN = "another transaction of this wallet with its nonce was mined"
    UNDERPRICED = "it pays too little to be taken, or to replace what is there"
    UNPAID = "the wallet cannot pay for it"
    REFUSED = "it is wrong"


#: By a part of the text, in this order: the codes say nothing (-32000 for all), and the texts
#: are geth's, kept by its relatives; the last of each line is Nethermind's or OpenEthereum's.
_TEXTS: Final = (
    (Answer.TAKEN, ("already known", "known transaction:", "already imported", "alreadyknown")),
    (Answer.NONCE_TAKEN, ("nonce too low", "nonce is too low", "oldnonce", "nonce too small")),
    (Answer.UNPAID, ("insufficient funds", "insufficient balance", "insufficientfunds")),
    (Answer.UNDERPRICED, ("underpriced", "less than block base fee", "fee too low", "feetoolow")),
)


def answer(error: NodeRefused | None) -> Answer:
    """Read the answer to eth_sendRawTransaction; None is one without an error."""
    if error is None:
        return Answer.TAKEN
    text = error.message.lower()
    matches = (kind for kind, signs in _TEXTS if any(sign in text for sign in signs))
    return next(matches, Answer.REFUSED)
