"""
Contract calls and events by name: values to bytes and back. Sans-IO.

eth-abi does the coding; web3 is left to the worker, so that the two sides share no mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode, encode
from eth_utils.abi import (
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    #: One entry of an ABI, as JSON gives it.
    Fragment = Mapping[str, Any]


class Abi:
    """The functions and events of one contract; of overloaded names the last one counts."""

    def __init__(self, fragments: Iterable[Fragment]) -> None:
        known = tuple(fragments)
        self._functions: dict[str, Any] = {f["name"]: f for f in known if f["type"] == "function"}
        self._events: dict[str, Any] = {f["name"]: f for f in known if f["type"] == "event"}
        self._constructor: Any = next((f for f in known if f["type"] == "constructor"), None)

    @property
    def selectors(self) -> tuple[bytes, ...]:
        """The selectors of all functions: what a diamond is told of a facet."""
        return tuple(self.selector(name) for name in self._functions)

    def selector(self, function: str) -> bytes:
        """The first four bytes of a call of *function*."""
        return function_abi_to_4byte_selector(self._functions[function])

    def topic(self, event: str) -> str:
        """The first topic of a log of *event*."""
        return "0x" + event_abi_to_log_topic(self._events[event]).hex()

    def constructor(self, *values: object) -> bytes:
        """The arguments of the constructor, as they follow the bytecode."""
        if self._constructor is None:
            return b""
        return encode(get_abi_input_types(self._constructor), values)

    def call(self, function: str, *values: object) -> bytes:
        """The data of a call."""
        types = get_abi_input_types(self._functions[function])
        return self.selector(function) + encode(types, values)

    def result(self, function: str, data: bytes) -> Any:  # noqa: ANN401  # the ABI knows the type
        """What a call returned: one value, or a tuple; structs are dicts by field name."""
        outputs = self._functions[function]["outputs"]
        values = decode(get_abi_output_types(self._functions[function]), data)
        named = tuple(_named(o, v) for o, v in zip(outputs, values, strict=True))
        return named[0] if len(named) == 1 else named

    def data(self, event: str, data: bytes) -> dict[str, Any]:
        """The arguments of a log that are not topics."""
        plain = [i for i in self._events[event]["inputs"] if not i["indexed"]]
        values = decode([i["type"] for i in plain], data)
        return {i["name"]: v for i, v in zip(plain, values, strict=True)}


def _named(component: Fragment, value: Any) -> Any:  # noqa: ANN401  # as above
    """*value* with its tuples turned into dicts."""
    if component["type"] != "tuple":
        return value
    parts: Sequence[Fragment] = component["components"]
    return {p["name"]: _named(p, v) for p, v in zip(parts, value, strict=True)}
