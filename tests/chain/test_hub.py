from __future__ import annotations

from typing import Any, Final

import pytest
from attrs import define, field
from eth_abi.abi import decode, encode

from iexec_worker.chain import abi
from iexec_worker.chain.calls import Call, Kind
from iexec_worker.chain.commitments import result_hash, result_seal
from iexec_worker.chain.hub import Hub
from iexec_worker.errors import Rejected, Reverted, Unavailable
from iexec_worker.model import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Account,
    Authorization,
    Contribution,
    ContributionStatus,
    TaskStatus,
)

from .conftest import MakeNode, MakeProvider, RpcError

HUB: Final = "0x" + 40 * "a"
WALLET: Final = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
TASK, DEAL, DIGEST = "0x" + 64 * "1", "0x" + 64 * "2", "0x" + 64 * "3"
APP, DATASET, POOL, OWNER = ("0x" + 40 * digit for digit in "4567")
NOBODY: Final = ZERO_ADDRESS
AUTHORIZATION: Final = Authorization(TASK, WALLET, ZERO_ADDRESS, "0x" + 130 * "b")
REVERT: Final = RpcError(3, "execution reverted", "0x")


def raw(hex_text: str) -> bytes:
    return bytes.fromhex(hex_text.removeprefix("0x"))


@define(eq=False)
class FakeHub:
    """The views of a hub that knows one task; a value may be an error."""

    task: list[Any] = field(
        factory=lambda: [1, raw(DEAL), 7, 300, 2_100, 0, 3_000, bytes(32), 0, 0, [WALLET], b""]
    )
    deal: dict[str, Any] = field(
        factory=lambda: {"dataset": DATASET, "params": '{"iexec_args": "x"}', "start": 1_000}
    )
    contribution: tuple[Any, ...] = (0, bytes(32), bytes(32), NOBODY, 0)
    stake: int = 50
    now: int = 1_500
    starts: list[int] = field(factory=list)
    transactions: list[dict[str, Any]] = field(factory=list)

    async def answer(self, method: str, params: list[Any]) -> object:
        if method == "eth_getBlockByNumber":
            return {"number": "0x1", "timestamp": hex(self.now)}
        if method == "eth_getBalance":
            return "0x10"
        if method == "eth_getTransactionCount":
            return {"latest": "0x5", "pending": "0x6"}[params[1]]
        self.transactions.append(params[0])
        if method == "eth_estimateGas":
            return hex(200_000)
        data = raw(params[0]["data"])
        functions = [f for f in vars(abi).values() if isinstance(f, abi.Function)]
        function = next(f for f in functions if f.selector == data[:4])
        arguments = decode(function.inputs, data[4:])
        return "0x" + encode(function.outputs, self.values(function, arguments)).hex()

    def values(self, function: abi.Function, arguments: tuple[Any, ...]) -> list[Any]:  # noqa: PLR0911 - a table
        unknown = not arguments or arguments[0] != raw(TASK)
        match function.name:
            case "viewTaskABILegacy":
                empty = [0, bytes(32), 0, 0, 0, 0, 0, bytes(32), 0, 0, [], b""]
                return empty if unknown else self.task
            case "viewDeal":
                return [self.full_deal()]
            case "viewCategory":
                return [("XS", "", 300)]
            case "viewApp":
                return [(OWNER, "app", "DOCKER", b"docker.io/app:1", bytes(32), b'{"a":1}')]
            case "viewDataset":
                binary = b"\xa5\x03\x22\x12\x20" + 32 * b"\x01"
                return [(OWNER, "data", binary, 32 * b"\x02")]
            case "viewContribution":
                return [self.contribution]
            case "viewAccount":
                return [(self.stake, 9)]
            case "owner":
                return ["0x" + 40 * "A"]
            case "callbackgas":
                return [100_000]
        raise REVERT

    def full_deal(self) -> tuple[Any, ...]:
        start = self.starts.pop(0) if self.starts else self.deal["start"]
        sides = [(pointer, OWNER, 1) for pointer in (APP, self.deal["dataset"], POOL)]
        terms = (5, 2, bytes(31) + b"\x03", WALLET, OWNER, NOBODY, self.deal["params"])
        return (*sides, *terms, start, 6, 3, 40, 1, NOBODY)


@define(eq=False)
class Bench:
    """A hub of ours on a fake one, and how often it waited for a block."""

    fake: FakeHub
    hub: Hub
    node: Any
    waits: list[None]


@pytest.fixture
async def bench(make_node: MakeNode, make_provider: MakeProvider) -> Bench:
    fake, waits = FakeHub(), list[None]()

    async def next_block() -> None:
        waits.append(None)

    node = await make_node(fake.answer)
    return Bench(fake, Hub(make_provider(node.url), HUB, WALLET, next_block), node, waits)


async def test_a_description_has_everything_that_never_changes(bench: Bench) -> None:
    found = await bench.hub.describe(TASK)

    assert found is not None
    assert (found.chain_task_id, found.deal_id, found.index) == (TASK, DEAL, 7)
    assert (found.app_address, found.app_type) == (APP, "DOCKER")
    assert (found.app_uri, found.app_enclave) == ("docker.io/app:1", '{"a":1}')
    assert (found.dataset_address, found.dataset_name) == (DATASET, "data")
    assert found.dataset_uri.startswith("/ipfs/Qm")
    assert found.dataset_checksum == "0x" + 32 * "02"
    assert (found.requester, found.beneficiary, found.callback) == (WALLET, OWNER, ZERO_ADDRESS)
    assert found.params.args == "x"
    assert (found.tag[-2:], found.trust, found.time_reference) == ("03", 5, 300.0)
    assert (found.bot_first, found.bot_size, found.start_time) == (6, 3, 1_000)
    assert (found.contribution_deadline, found.final_deadline) == (2_100, 3_000)
    assert found.worker_stake == 40
    assert bench.waits == []


async def test_a_deal_without_dataset_asks_for_none(bench: Bench) -> None:
    bench.fake.deal["dataset"] = ZERO_ADDRESS

    found = await bench.hub.describe(TASK)

    assert found is not None
    assert (found.dataset_uri, found.dataset_checksum) == ("", ZERO_HASH)
    assert not found.has_dataset
    assert len(bench.node.bodies) == 3, "task, deal, and one batch for the rest"


async def test_a_deal_that_is_not_there_yet_is_tried_again_a_block_later(bench: Bench) -> None:
    bench.fake.starts = [0, 0, 0, 0]

    found = await bench.hub.describe(TASK)

    assert found is not None
    assert len(bench.waits) == 4


async def test_a_deal_that_never_comes_is_none_after_five_tries(bench: Bench) -> None:
    bench.fake.deal["start"] = 0

    assert await bench.hub.describe(TASK) is None
    assert len(bench.waits) == 4


async def test_an_unknown_task_is_none(bench: Bench) -> None:
    assert await bench.hub.task(DEAL) is None
    assert await bench.hub.describe(DEAL) is None


async def test_contribute_view_is_one_batch(bench: Bench) -> None:
    bench.fake.contribution = (1, raw(TASK), raw(DEAL), OWNER, 2)

    task, contribution, account = await bench.hub.contribute_view(TASK, WALLET)

    assert (task.status, task.deal_id, task.contributors) == (TaskStatus.ACTIVE, DEAL, (WALLET,))
    assert contribution == Contribution(ContributionStatus.CONTRIBUTED, TASK, DEAL, OWNER)
    assert account == Account(stake=50, locked=9)
    assert len(bench.node.bodies) == 1


async def test_single_reads(bench: Bench) -> None:
    hub = bench.hub

    assert await hub.account(WALLET) == Account(50, 9)
    assert await hub.owner(POOL) == HUB, "in lower case"
    assert await hub.balance(WALLET) == 16
    assert await hub.transaction_counts() == (5, 6)


async def test_every_call_and_estimate_is_from_our_wallet(bench: Bench) -> None:
    await bench.hub.describe(TASK)
    await bench.hub.owner(POOL)
    await bench.hub.contribute_and_finalize(TASK, DIGEST, AUTHORIZATION, link=b"l")

    assert {call["from"] for call in bench.fake.transactions} == {WALLET}
    assert {call["to"] for call in bench.fake.transactions} == {HUB, POOL}


async def test_the_contribution_as_the_contract_reads_it(make_provider: MakeProvider) -> None:
    hashed, seal = result_hash(TASK, DIGEST), result_seal(WALLET, TASK, DIGEST)

    call = _hub(make_provider).contribute(TASK, hashed, seal, AUTHORIZATION)

    assert call.data.startswith("0x34623484")
    values = decode(abi.CONTRIBUTE.inputs, raw(call.data)[4:])
    assert values == (raw(TASK), raw(hashed), raw(seal), ZERO_ADDRESS, b"", 65 * b"\xbb")
    assert (call.to, call.gas, call.task_id) == (HUB, 500_000, TASK)
    assert call.kind is Kind.CONTRIBUTE


async def test_the_reveal_as_the_contract_reads_it(make_provider: MakeProvider) -> None:
    call = _hub(make_provider).reveal(TASK, DIGEST)

    assert call.data == "0xfc334e8c" + TASK[2:] + DIGEST[2:]
    assert (call.gas, call.kind) == (100_000, Kind.REVEAL)
    assert str(call) == f"reveal of task {TASK}"


async def test_contribute_and_finalize_has_gas_for_the_callback(bench: Bench) -> None:
    call = await bench.hub.contribute_and_finalize(
        TASK, DIGEST, AUTHORIZATION, link=b"link", callback_data="0x1234"
    )

    assert call.gas == 300_000
    values = decode(abi.CONTRIBUTE_AND_FINALIZE.inputs, raw(call.data)[4:])
    assert values[2:4] == (b"link", b"\x12\x34")
    assert call.kind is Kind.FINALIZE


def _hub(make_provider: MakeProvider) -> Hub:
    async def never() -> None:
        raise AssertionError

    return Hub(make_provider("http://nobody"), HUB, WALLET, never)


async def test_a_view_that_reverts_says_which(bench: Bench) -> None:
    async def refuse(method: str, params: list[Any]) -> object:
        raise REVERT

    bench.node.handler = refuse

    with pytest.raises(Reverted, match="viewAccount was refused: no reason given"):
        await bench.hub.account(WALLET)


async def test_an_address_without_a_hub_is_recognised(bench: Bench) -> None:
    async def nothing(method: str, params: list[Any]) -> object:
        return "0x"

    bench.node.handler = nothing

    with pytest.raises(Rejected, match="check the hub's address"):
        await bench.hub.task(TASK)


@pytest.mark.parametrize("answer", [None, "", "0x", "many"])
async def test_a_number_that_is_none_is_unavailable(bench: Bench, answer: object) -> None:
    async def odd(method: str, params: list[Any]) -> object:
        return answer

    bench.node.handler = odd

    with pytest.raises(Unavailable):
        await bench.hub.balance(WALLET)


CONTRIBUTE: Final = Call(HUB, "0x", 1, TASK, Kind.CONTRIBUTE)
FINALIZE: Final = Call(HUB, "0x", 1, TASK, Kind.FINALIZE)
REVEAL: Final = Call(HUB, "0x", 1, TASK, Kind.REVEAL, result_hash(TASK, DIGEST))
OURS: Final = (1, raw(REVEAL.result_hash), bytes(32), NOBODY, 1)


def revealing(**changes: object) -> dict[str, Any]:
    consensus = raw(str(changes.pop("consensus", REVEAL.result_hash)))
    task = [2, raw(DEAL), 7, 300, 2_100, 1_600, 3_000, consensus, 0, 1, [WALLET], b""]
    return {"task": task, "contribution": OURS, **changes}


@pytest.mark.parametrize(
    ("call", "state", "text"),
    [
        (CONTRIBUTE, {"task": [0, bytes(32), *(0, 0, 0, 0, 0), bytes(32), 0, 0, [], b""]},
         "the task is not on-chain"),
        (CONTRIBUTE, revealing(), "the task is REVEALING, not ACTIVE"),
        (CONTRIBUTE, {"now": 2_100}, "the contribution deadline passed 0 s ago"),
        (CONTRIBUTE, {"contribution": OURS}, "a contribution of ours is there (CONTRIBUTED)"),
        (CONTRIBUTE, {"stake": 39}, "the deposit has 39 nRLC free, the deal asks for 40"),
        (FINALIZE, {}, "somebody contributed before"),
        (REVEAL, {}, "the task is ACTIVE, not REVEALING"),
        (REVEAL, revealing(now=1_601), "the reveal deadline passed 1 s ago"),
        (REVEAL, revealing(contribution=(0, *OURS[1:])),
         "our contribution is UNSET, not CONTRIBUTED"),
        (REVEAL, revealing(consensus=DEAL), "our result is not the consensus"),
        (REVEAL, revealing(consensus=DEAL, contribution=(1, raw(DEAL), *OURS[2:])),
         "the digest is not the one we contributed"),
    ],
)  # fmt: skip
async def test_the_precondition_that_failed_is_named(
    call: Call, state: dict[str, Any], text: str, bench: Bench
) -> None:
    for name, value in state.items():
        setattr(bench.fake, name, value)

    assert await bench.hub.explain(call) == text


async def test_what_cannot_be_read_is_said(bench: Bench) -> None:
    assert "perhaps a signature is not accepted" in await bench.hub.explain(CONTRIBUTE)
