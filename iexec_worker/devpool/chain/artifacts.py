"""The compiled contracts of the `@iexec/poco` package: ABI and bytecode, linked where needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.devpool.chain.abi import Abi

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class Artifact:
    """One compiled contract; *links* maps each library's name to where its address belongs."""

    name: str
    abi: Abi
    bytecode: str
    links: Mapping[str, tuple[int, ...]]

    def creation(self, *values: object, libraries: Mapping[str, str] | None = None) -> bytes:
        """The data of the transaction that deploys it; raises KeyError for a missing library."""
        code = bytearray.fromhex(self.linkable())
        for library, offsets in self.links.items():
            address = bytes.fromhex((libraries or {})[library].removeprefix("0x"))
            for offset in offsets:
                code[offset : offset + len(address)] = address
        return bytes(code) + self.abi.constructor(*values)

    def linkable(self) -> str:
        """The bytecode as hex, with zeros where the compiler left the names of libraries."""
        code = self.bytecode.removeprefix("0x")
        for offsets in self.links.values():
            for offset in offsets:
                code = code[: 2 * offset] + 40 * "0" + code[2 * offset + 40 :]
        return code


def load(package: Path, name: str) -> Artifact:
    """Read contract *name* (`Diamond`, `AppRegistry`, …) from the unpacked package."""
    path = next((package / "artifacts" / "contracts").glob(f"**/{name}.json"))
    found: dict[str, Any] = json.loads(path.read_text())
    links = {
        library: tuple(place["start"] for place in places)
        for libraries in found["linkReferences"].values()
        for library, places in libraries.items()
    }
    return Artifact(name=name, abi=Abi(found["abi"]), bytecode=found["bytecode"], links=links)
