"""The functions and events of PoCo that a worker needs, as data, and how they are encoded."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen
from eth_abi.abi import encode
from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals, registry
from eth_hash.auto import keccak

from iexec_worker.errors import Rejected


@frozen
class Function:
    """A function of a contract by its signature; *outputs* are the types it returns."""

    signature: str
    outputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name without the types."""
        return self.signature.partition("(")[0]

    @property
    def inputs(self) -> list[str]:
        """The types of the arguments (none of ours takes a tuple)."""
        types = self.signature.partition("(")[2].removesuffix(")")
        return types.split(",") if types else []

    @property
    def selector(self) -> bytes:
        """The first four bytes of a call."""
        return keccak(self.signature.encode())[:4]

    def encode(self, *arguments: Any) -> str:  # noqa: ANN401 - whatever the types say
        """The data of a call; bytes32 and addresses are given as `0x` hex."""
        typed = list(zip(self.inputs, arguments, strict=True))
        values = [_to_bytes(kind, value) for kind, value in typed]
        return "0x" + (self.selector + encode(self.inputs, values)).hex()

    def decode(self, answer: str) -> tuple[Any, ...]:
        """The values of an answer: bytes32 as `0x` hex, addresses in lower case."""
        try:
            values = _CODEC.decode(self.outputs, bytes.fromhex(answer.removeprefix("0x")))
        except (DecodingError, ValueError, AttributeError, OverflowError) as error:
            raise Rejected(
                f"{self.name} was not answered as by iExec's hub: check the hub's address and "
                f"that the node is of its chain ({str(answer)[:20]!r})"
            ) from error
        return tuple(map(_from_bytes, map(_split, self.outputs), values))


def _lenient() -> ABICodec:
    """
    A codec that takes any bytes for text, as the other workers' does.

    Requesters and owners of apps choose texts on-chain, and nothing there checks them.
    """
    types = registry.copy()  # type: ignore[no-untyped-call]  # eth_abi annotates some of it
    types.unregister_decoder("string")
    text = BaseEquals("string", with_sub=False)  # type: ignore[no-untyped-call]  # as above
    types.register_decoder(
        text,
        StringDecoder(handle_string_errors="replace"),  # type: ignore[no-untyped-call]  # as above
        label="string",
    )
    return ABICodec(types)


_CODEC: Final = _lenient()


def topic(event: str) -> str:
    """The first topic of an event's logs, from its signature."""
    return "0x" + keccak(event.encode()).hex()


def _to_bytes(kind: str, value: Any) -> Any:  # noqa: ANN401 - whatever the types say
    if isinstance(value, str) and kind.startswith("bytes"):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _from_bytes(kind: str | list[str], value: Any) -> Any:  # noqa: ANN401 - whatever the types say
    match kind:
        case list():
            return tuple(_from_bytes(part, item) for part, item in zip(kind, value, strict=True))
        case "bytes32":
            return "0x" + value.hex()
        case "address":
            return value.lower()
        case "address[]":
            return tuple(item.lower() for item in value)
    return value


def _split(kind: str) -> Any:  # noqa: ANN401 - types in types
    """The parts of a tuple type; a plain type is itself."""
    if not kind.startswith("("):
        return kind
    parts, depth = [""], 0
    for character in kind[1:-1]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [_split(part) for part in parts]


_PRICED: Final = "(address,address,uint256)"
_TERMS: Final = (
    "uint256,uint256,bytes32,address,address,address,string,"
    "uint256,uint256,uint256,uint256,uint256,address"
)

VIEW_TASK: Final = Function(
    "viewTaskABILegacy(bytes32)",
    (
        *("uint8", "bytes32", "uint256", "uint256", "uint256", "uint256", "uint256"),
        *("bytes32", "uint256", "uint256", "address[]", "bytes"),
    ),
)
VIEW_DEAL: Final = Function(
    "viewDeal(bytes32)",
    (f"({_PRICED},{_PRICED},{_PRICED},{_TERMS})",),
)
VIEW_CATEGORY: Final = Function("viewCategory(uint256)", ("(string,string,uint256)",))
VIEW_APP: Final = Function("viewApp(address)", ("(address,string,string,bytes,bytes32,bytes)",))
VIEW_DATASET: Final = Function("viewDataset(address)", ("(address,string,bytes,bytes32)",))
VIEW_CONTRIBUTION: Final = Function(
    "viewContribution(bytes32,address)", ("(uint8,bytes32,bytes32,address,uint256)",)
)
VIEW_ACCOUNT: Final = Function("viewAccount(address)", ("(uint256,uint256)",))
CALLBACK_GAS: Final = Function("callbackgas()", ("uint256",))
OWNER: Final = Function("owner()", ("address",))

CONTRIBUTE: Final = Function("contribute(bytes32,bytes32,bytes32,address,bytes,bytes)")
REVEAL: Final = Function("reveal(bytes32,bytes32)")
CONTRIBUTE_AND_FINALIZE: Final = Function(
    "contributeAndFinalize(bytes32,bytes32,bytes,bytes,address,bytes,bytes)"
)

TASK_CONTRIBUTE: Final = topic("TaskContribute(bytes32,address,bytes32)")
TASK_REVEAL: Final = topic("TaskReveal(bytes32,address,bytes32)")
TASK_FINALIZE: Final = topic("TaskFinalize(bytes32,bytes)")
