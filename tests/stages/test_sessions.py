"""Starting a trusted task: what is asked of whom, in which order, and what a refusal is told as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.chain import commitments
from iexec_worker.chain.wallet import Wallet
from iexec_worker.errors import Rejected, StageFailed, Unauthorized, Unavailable
from iexec_worker.model import DealParams, TeeFramework
from iexec_worker.stages.admission import Admission
from iexec_worker.stages.links import Proxies
from iexec_worker.stages.start import Start
from iexec_worker.stages.trusted.sessions import TRIES, Sessions
from iexec_worker.stages.trusted.specs import TrustedSpecs
from iexec_worker.tee.model import Service, Services, TeeSession, TeeState
from iexec_worker.tee.patience import PATIENCE
from iexec_worker.tee.sms import SessionRefused
from iexec_worker.tee.sms_book import SmsBook
from iexec_worker.wire import Cause
from tests import samples
from tests.samples import SCONE, WALLET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.model import Authorization
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Record, Task
    from iexec_worker.tee.framework import OpenSession
    from tests.stages.conftest import FakeChain

KEY = Wallet.from_key(64 * "5")
SESSION = TeeSession("id", "cas:1")
SERVICES = Services(Service("pre:1"), Service("post:1"))
SMS = "http://sms"

NOT_YET = Cause.TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE
NO_DATASET = Cause.TEE_SESSION_GENERATION_PRE_COMPUTE_GET_DATASET_SECRET_FAILED
NO_TOKEN = Cause.TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED


@define(eq=False)
class Edges:
    """SMS, result proxy and framework at once; *errors* are what the next questions end in."""

    asked: list[str] = field(factory=list)
    errors: dict[str, list[Exception]] = field(factory=dict)
    signatures: dict[str, str] = field(factory=dict)
    name: str = "http://sms"

    async def _answer(self, question: str) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append(question)
        if self.errors.get(question):
            raise self.errors[question].pop(0)

    async def token(self, ours: Authorization, signature: str) -> str:
        await self._answer("token")
        self.signatures["token"] = signature
        return "the token"

    async def store_secret(
        self, owner: str, name: str, value: str, sign: Callable[[str], str]
    ) -> None:
        await self._answer("secret")
        assert (owner, name, value) == (KEY.address, "iexec-result-iexec-ipfs-token", "the token")
        assert sign("0x" + 64 * "1") == KEY.sign_prefixed("0x" + 64 * "1")

    async def session(self, ours: Authorization, signature: str) -> TeeSession:
        await self._answer("session")
        self.signatures["session"] = signature
        return SESSION

    async def prepare(
        self,
        task: object,
        sms: object,
        folder: Path,
        open_session: OpenSession,
        show: Callable[[str], None],
    ) -> TeeState:
        assert sms is self
        await self._answer("prepare")
        show("preparing")
        return TeeState(SERVICES, await open_session())


@pytest.fixture
def services() -> Edges:
    return Edges()


@pytest.fixture
def urls() -> list[str]:
    """The addresses at which an SMS or a result proxy was asked."""
    return []


@pytest.fixture
def start(
    *,
    services: Edges,
    urls: list[str],
    conditions: Conditions,
    chain: FakeChain,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Start:
    async def authorized(_conditions: Conditions, _task: Task) -> None:
        await trio.lowlevel.checkpoint()

    def at(url: str) -> Any:  # noqa: ANN401 - SMS and result proxy
        urls.append(url)
        return services

    monkeypatch.setattr(type(conditions), "authorized", authorized)
    edges: tuple[Any, Any, Any] = (services, None, chain)
    specs = TrustedSpecs({TeeFramework.SCONE: edges[0]}, edges[1], "w", WALLET, gpus=False)
    task.record.sms_url = SMS
    task.describe_as(samples.description(tag=SCONE))
    sessions = Sessions(KEY, Proxies(at, "http://pool"), edges[2])
    return Start(conditions, Admission(), specs, sessions, at, SmsBook(tmp_path / "sms.json"))


async def cause(start: Start, task: Task) -> Cause:
    with pytest.raises(StageFailed) as caught:
        await start(task)
    assert task.record.tee is None
    return caught.value.cause


async def test_token_secret_and_session_in_this_order_and_the_record_has_what_came_of_it(
    start: Start, services: Edges, urls: list[str], task: Task
) -> None:
    saved: list[Record] = []

    async def save() -> None:
        await trio.lowlevel.checkpoint()
        saved.append(attrs.evolve(task.record))

    task.save = save
    await start(task)
    assert services.asked == ["prepare", "token", "secret", "session"]
    assert urls == [SMS, "http://pool"]
    assert saved[-1].tee == TeeState(SERVICES, SESSION)
    ours = task.authorization
    signed = commitments.authorization_hash(
        ours.worker_wallet, ours.chain_task_id, ours.enclave_challenge
    )
    assert {commitments.recover_prefixed(signed, s) for s in services.signatures.values()} == {
        KEY.address
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"callback": "0x" + 40 * "c"},
        {"params": DealParams(storage_provider="dropbox")},
    ],
)
async def test_what_is_stored_without_our_token_needs_none(
    start: Start, services: Edges, task: Task, changes: dict[str, Any]
) -> None:
    task.describe_as(samples.description(tag=SCONE, **changes))
    await start(task)
    assert services.asked == ["prepare", "session"]


async def test_what_an_earlier_life_was_given_is_used(
    start: Start, services: Edges, task: Task
) -> None:
    task.record.tee = TeeState(SERVICES, SESSION)
    await start(task)
    assert services.asked == []


@pytest.mark.parametrize("url", [None, ""])
async def test_without_an_sms_nothing_is_prepared(
    start: Start, services: Edges, task: Task, url: str | None
) -> None:
    task.record.sms_url = url
    assert await cause(start, task) is Cause.UNKNOWN_SMS
    assert services.asked == []


async def test_a_task_whose_offer_is_lost_has_the_sms_of_the_last_one(
    start: Start, urls: list[str], task: Task
) -> None:
    task.record.sms_url, task.record.offer_lost = None, True
    assert await cause(start, task) is Cause.UNKNOWN_SMS
    task.record.sms_url = SMS
    await start(task)

    task.record.sms_url, task.record.tee = None, None
    await start(task)
    assert urls.count(SMS) == 2


async def test_an_offer_without_an_sms_is_no_lost_one(start: Start, task: Task) -> None:
    await start(task)
    task.record.sms_url = task.record.tee = None
    assert await cause(start, task) is Cause.UNKNOWN_SMS


async def test_a_framework_that_is_not_here_comes_before_a_missing_sms(
    start: Start, task: Task
) -> None:
    task.record.sms_url = None
    task.describe_as(samples.description(tag=SCONE[:-1] + "5"))
    assert await cause(start, task) is Cause.TEE_NOT_SUPPORTED


async def test_what_the_framework_says_is_the_cause(
    start: Start, services: Edges, task: Task
) -> None:
    expected = Cause.PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION
    services.errors["prepare"] = [StageFailed(expected)]
    assert await cause(start, task) is expected


@pytest.mark.parametrize(
    ("question", "error", "expected", "asked"),
    [
        ("session", SessionRefused(NO_DATASET, ""), NO_DATASET, 1),
        ("session", SessionRefused(NOT_YET, ""), NOT_YET, TRIES),
        ("session", Unauthorized(""), Cause.TEE_SESSION_GENERATION_INVALID_AUTHORIZATION, 1),
        ("session", Rejected(""), Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE, 1),
        ("secret", Rejected(""), NO_TOKEN, 1),
        ("secret", Unauthorized(""), NO_TOKEN, 1),
        ("token", Unauthorized(""), NO_TOKEN, TRIES),
        ("token", Rejected(""), NO_TOKEN, TRIES),
    ],
)
async def test_a_refusal_has_its_cause(
    *,
    start: Start,
    services: Edges,
    task: Task,
    question: str,
    error: Exception,
    expected: Cause,
    asked: int,
) -> None:
    services.errors[question] = 10 * [error]
    assert await cause(start, task) is expected
    assert services.asked.count(question) == asked


@pytest.mark.parametrize(
    ("question", "error"), [("session", SessionRefused(NOT_YET, "")), ("token", Unauthorized(""))]
)
async def test_a_refusal_of_a_service_whose_node_is_behind_passes(
    start: Start, services: Edges, task: Task, question: str, error: Exception
) -> None:
    services.errors[question] = [error]
    await start(task)
    assert services.asked.count(question) == 2


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("token", NO_TOKEN),
        ("secret", NO_TOKEN),
        ("session", Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE),
    ],
)
async def test_a_service_that_is_away_is_asked_for_a_while_and_is_then_a_cause(
    *,
    start: Start,
    services: Edges,
    task: Task,
    question: str,
    expected: Cause,
    autojump_clock: trio.testing.MockClock,
) -> None:
    services.errors[question] = [*3 * [Unavailable("restarting")]]
    await start(task)
    assert services.asked.count(question) == 4

    task.record.tee = None
    services.errors[question] = [*1000 * [Unavailable("away")]]
    began = trio.current_time()
    assert await cause(start, task) is expected
    assert trio.current_time() - began <= PATIENCE
