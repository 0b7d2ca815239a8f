"""What we send and read is what web3 makes of the published ABI of PoCo 6.1.0."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from web3 import Web3

from iexec_worker.chain import abi
from iexec_worker.devpool.tools import provide
from tests.cached import CACHE

if TYPE_CHECKING:
    from web3.contract import Contract

pytestmark = [pytest.mark.node, pytest.mark.slow]

TASK: Final = "0x" + 32 * "ab"
DIGEST: Final = "0x" + 32 * "cd"
ADDRESS: Final = "0x" + 20 * "12"
SIGNATURE: Final = "0x" + 65 * "ef"

CALLS: Final[dict[str, list[tuple[abi.Function, tuple[Any, ...]]]]] = {
    "IexecPoco2Facet": [
        (abi.CONTRIBUTE, (TASK, DIGEST, DIGEST, ADDRESS, "0x", SIGNATURE)),
        (abi.REVEAL, (TASK, DIGEST)),
        (
            abi.CONTRIBUTE_AND_FINALIZE,
            (TASK, DIGEST, b"link", "0x1234", ADDRESS, SIGNATURE, SIGNATURE),
        ),
    ],
    "IexecPocoAccessorsFacet": [
        (abi.VIEW_CONTRIBUTION, (TASK, ADDRESS)),
        (abi.VIEW_ACCOUNT, (ADDRESS,)),
        (abi.VIEW_CATEGORY, (7,)),
        (abi.VIEW_APP, (ADDRESS,)),
        (abi.VIEW_DATASET, (ADDRESS,)),
        (abi.VIEW_DEAL, (TASK,)),
    ],
    "IexecAccessorsABILegacyFacet": [(abi.VIEW_TASK, (TASK,))],
}
EVENTS: Final = {
    "TaskContribute": abi.TASK_CONTRIBUTE,
    "TaskReveal": abi.TASK_REVEAL,
    "TaskFinalize": abi.TASK_FINALIZE,
}


async def published(facet: str) -> list[dict[str, Any]]:
    tools = await provide(CACHE)
    path = next((tools.poco / "artifacts" / "contracts").glob(f"**/{facet}.json"))
    found: list[dict[str, Any]] = json.loads(path.read_text())["abi"]
    return found


def as_web3(value: object) -> object:
    return Web3.to_checksum_address(value) if value == ADDRESS else value


@pytest.mark.parametrize("facet", CALLS)
async def test_calls_are_encoded_as_by_web3(facet: str) -> None:
    contract: type[Contract] = Web3().eth.contract(abi=await published(facet))
    for function, arguments in CALLS[facet]:
        theirs = contract.encode_abi(function.name, args=[as_web3(a) for a in arguments])
        assert function.encode(*arguments) == theirs


@pytest.mark.parametrize("facet", CALLS)
async def test_answers_have_the_published_types(facet: str) -> None:
    entries = {e["name"]: e for e in await published(facet) if e["type"] == "function"}
    for function, _ in CALLS[facet]:
        outputs = [_type(output) for output in entries[function.name]["outputs"]]
        assert list(function.outputs) in (outputs, [])


async def test_topics_are_those_of_the_published_events() -> None:
    contract = Web3().eth.contract(abi=await published("IexecPoco2Facet"))
    for name, topic in EVENTS.items():
        assert contract.events[name]().topic == topic


def _type(output: dict[str, Any]) -> str:
    if not output["type"].startswith("tuple"):
        return str(output["type"])
    return f"({','.join(_type(part) for part in output['components'])})"
