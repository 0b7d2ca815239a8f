"""Why a contract refused, from the data of its revert. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

if TYPE_CHECKING:
    from iexec_worker.chain.node.rpc import NodeRefused

_ERROR: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such enum value",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "too much memory",
}

#: How nodes say that a contract, and not they, refused; the first is geth's and the usual one.
_TEXTS: Final = ("execution reverted", "revert", "vm exception", "invalid opcode", "vm execution")


def is_revert(error: NodeRefused) -> bool:
    """True iff the contract refused the call; other errors are the node's own."""
    # 3 is the code of the execution API for reverts.
    code_of_reverts = 3
    text = error.message.lower()
    return error.code == code_of_reverts or any(sign in text for sign in _TEXTS)


def reason(error: NodeRefused) -> str:
    """The reason that the contract gave; empty when it gave none, as most of PoCo's do."""
    if error.data:
        return decode_revert(error.data)
    _, colon, text = error.message.partition("execution reverted:")
    return text.strip() if colon else ""


def decode_revert(data: bytes) -> str:
    """`Error(string)` as its text, `Panic(uint256)` by name, custom errors by selector."""
    selector, arguments = data[:4], data[4:]
    try:
        if selector == _ERROR:
            return str(decode(["string"], arguments)[0])
        if selector == _PANIC:
            (code,) = decode(["uint256"], arguments)
            return f"panic: {_PANICS.get(code, hex(code))}"
    except (DecodingError, UnicodeDecodeError):
        pass
    return f"custom error 0x{data.hex()}" if data else ""
