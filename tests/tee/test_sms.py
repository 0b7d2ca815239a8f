from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iexec_worker.chain.commitments import recover_prefixed
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import Outbound
from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.foreign import LONGEST_ANSWER
from iexec_worker.model import ZERO_ADDRESS, Authorization, TeeFramework
from iexec_worker.tee.model import Service
from iexec_worker.tee.sms import SessionRefused, Sms, secret_challenge
from iexec_worker.transport import make_client
from iexec_worker.wire import Cause
from tests.tee.conftest import PROPERTIES, SESSION

if TYPE_CHECKING:
    from tests.tee.conftest import Server

SCONE = TeeFramework.SCONE
KEY = Wallet.from_key(64 * "1")
NAME = "iexec-result-iexec-ipfs-token"
SECRET = "head.body.sign"

OURS = Authorization(
    chain_task_id="0x" + 64 * "a",
    worker_wallet=KEY.address,
    enclave_challenge=ZERO_ADDRESS,
    signature="0x" + 130 * "5",
    deal_id="0x" + 64 * "c",
    task_index=3,
)


async def test_the_framework_is_a_json_string(server: Server, sms: Sms) -> None:
    assert await sms.framework() == "SCONE"


async def test_properties_of_a_version_are_read(server: Server, sms: Sms) -> None:
    found = await sms.properties(SCONE, "v5")

    assert found.pre == Service("pre:1", "f-pre", "python3 /app/app.py", 3 * 1024**3)
    assert found.post.image == "post:1"
    assert found.las_image == "registry.example:5050/las:5"
    assert server.asked == ["GET /tee/properties/SCONE/v5"]


async def test_an_sms_of_8_x_has_properties_for_all_versions(server: Server, sms: Sms) -> None:
    old: dict[str, Any] = {**PROPERTIES, "teeFrameworkVersion": None}
    server.answer("GET /tee/properties/SCONE", old)

    assert (await sms.properties(SCONE, "v4")).pre.image == "pre:1"
    assert server.asked == ["GET /tee/properties/SCONE/v4", "GET /tee/properties/SCONE"]


async def test_a_version_that_an_sms_of_9_x_does_not_have_is_refused(
    server: Server, sms: Sms
) -> None:
    server.answer("GET /tee/properties/SCONE", PROPERTIES)

    with pytest.raises(Rejected, match="no SCONE of version v4"):
        await sms.properties(SCONE, "v4")


async def test_an_app_that_names_no_version_takes_what_there_is(server: Server, sms: Sms) -> None:
    server.answer("GET /tee/properties/SCONE", PROPERTIES)

    assert (await sms.properties(SCONE, "")).post.image == "post:1"


@pytest.mark.parametrize("version", ["..", ".", "a/b", "v5?x=1", "v 5", "é", "\n", 101 * "5"])
async def test_a_version_that_would_lead_elsewhere_is_not_asked_for(
    server: Server, sms: Sms, version: str
) -> None:
    with pytest.raises(Rejected, match="version"):
        await sms.properties(SCONE, version)

    assert server.seen == []


async def test_properties_of_another_framework_are_refused(server: Server, sms: Sms) -> None:
    server.answer("GET /tee/properties/SCONE/v5", 409)

    with pytest.raises(Rejected, match="409"):
        await sms.properties(SCONE, "v5")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "SCONE",
        {**PROPERTIES, "preComputeProperties": None},
        {**PROPERTIES, "postComputeProperties": {"image": ""}},
        {**PROPERTIES, "postComputeProperties": {"image": "post:1", "heapSizeInBytes": "much"}},
        {**PROPERTIES, "postComputeProperties": {"image": "post:1", "heapSizeInBytes": -1}},
        (200, "<html>"),
        (200, 10_000 * "["),
        503,
    ],
)
async def test_what_are_no_properties_is_no_answer(
    server: Server, sms: Sms, answer: object
) -> None:
    server.answer("GET /tee/properties/SCONE/v5", answer)

    with pytest.raises(Unavailable):
        await sms.properties(SCONE, "v5")


def test_the_challenge_of_a_secret_is_the_documented_one() -> None:
    owner = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

    assert (
        secret_challenge(owner, NAME, "token")
        == "0x9ec618f2c56d68169adf323a8032124494306a0fd939ad3f562caa09bcd2d292"
    )


@pytest.mark.parametrize(
    ("before", "method"), [((404, 204), "POST"), ((204, 204), "PUT")], ids=["new", "known"]
)
async def test_a_secret_is_made_or_changed_and_seen_to_be_there(
    server: Server, sms: Sms, before: tuple[int, ...], method: str
) -> None:
    server.answer("HEAD /secrets/web2", *before)
    server.answer(f"{method} /secrets/web2", 204)

    await sms.store_secret(KEY.address, NAME, SECRET, KEY.sign_prefixed)

    path = "/secrets/web2"
    assert server.asked == [f"HEAD {path}", f"{method} {path}", f"HEAD {path}"]
    assert {one.query for one in server.seen} == {f"ownerAddress={KEY.address}&secretName={NAME}"}
    handed_over = server.seen[1]
    assert handed_over.body == SECRET.encode()
    assert handed_over.headers["Content-Type"] == "application/json"
    signature = handed_over.headers["Authorization"]
    challenge = secret_challenge(KEY.address, NAME, SECRET)
    assert recover_prefixed(challenge, signature) == KEY.address


async def test_a_secret_that_another_task_was_faster_with_is_changed(
    server: Server, sms: Sms
) -> None:
    server.answer("HEAD /secrets/web2", 404, 204)
    server.answer("POST /secrets/web2", 409)
    server.answer("PUT /secrets/web2", 204)

    await sms.store_secret(KEY.address, NAME, SECRET, KEY.sign_prefixed)

    assert [one.method for one in server.seen] == ["HEAD", "POST", "PUT", "HEAD"]


async def test_a_secret_that_is_not_there_afterwards_was_not_stored(
    server: Server, sms: Sms
) -> None:
    server.answer("HEAD /secrets/web2", 404)
    server.answer("POST /secrets/web2", 204)

    with pytest.raises(Unavailable):
        await sms.store_secret(KEY.address, NAME, SECRET, KEY.sign_prefixed)


@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthorized), (413, Rejected), (500, Unavailable)]
)
async def test_a_refused_secret_is_in_no_error(
    server: Server, sms: Sms, status: int, error: type[Exception]
) -> None:
    server.answer("HEAD /secrets/web2", 404)
    server.answer("POST /secrets/web2", (status, SECRET))

    with pytest.raises(error) as refused:
        await sms.store_secret(KEY.address, NAME, SECRET, KEY.sign_prefixed)

    assert SECRET not in str(refused.value)


async def test_a_session_is_asked_for_with_the_pools_permission(server: Server, sms: Sms) -> None:
    server.answer("POST /tee/sessions", SESSION)

    session = await sms.session(OURS, "0x51")

    assert (session.session_id, session.url) == ("abc0000", "cas.example:4321")
    asked = server.seen[0]
    assert asked.headers["Authorization"] == "0x51"
    assert json.loads(asked.body) == {
        "chainTaskId": "0x" + 64 * "a",
        "dealId": "0x" + 64 * "c",
        "taskIndex": 3,
        "workerWallet": KEY.address,
        "enclaveChallenge": ZERO_ADDRESS,
        "signature": {"value": "0x" + 130 * "5"},
    }


NOT_AUTHORIZED = [
    f"EXECUTION_NOT_AUTHORIZED_{reason}"
    for reason in (
        "EMPTY_PARAMS_UNAUTHORIZED",
        "NO_MATCH_ONCHAIN_TYPE",
        "GET_CHAIN_TASK_FAILED",
        "TASK_NOT_ACTIVE",
        "GET_CHAIN_DEAL_FAILED",
        "INVALID_SIGNATURE",
    )
]
SIGNATURE_TOKENS = [
    f"GET_SIGNATURE_TOKENS_FAILED_{reason}"
    for reason in (
        "EMPTY_WORKER_ADDRESS",
        "EMPTY_PUBLIC_ENCLAVE_CHALLENGE",
        "EMPTY_TEE_CHALLENGE",
        "EMPTY_TEE_CREDENTIALS",
    )
]
ERRORS = [
    "INVALID_AUTHORIZATION",
    *NOT_AUTHORIZED,
    "PRE_COMPUTE_GET_DATASET_SECRET_FAILED",
    "APP_COMPUTE_NO_ENCLAVE_CONFIG",
    "APP_COMPUTE_INVALID_ENCLAVE_CONFIG",
    "POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY",
    "POST_COMPUTE_GET_STORAGE_TOKENS_FAILED",
    "SECURE_SESSION_STORAGE_CALL_FAILED",
    "SECURE_SESSION_GENERATION_FAILED",
    "SECURE_SESSION_NO_TEE_FRAMEWORK",
    "GET_TASK_DESCRIPTION_FAILED",
    "NO_SESSION_REQUEST",
    "NO_TASK_DESCRIPTION",
    "UNKNOWN_ISSUE",
    *SIGNATURE_TOKENS,
    *(f"POST_COMPUTE_{error}" for error in SIGNATURE_TOKENS),
    "SECURE_SESSION_NO_TEE_PROVIDER",
]


@pytest.mark.parametrize("status", [401, 500])
async def test_every_error_of_a_session_has_its_cause(
    server: Server, sms: Sms, status: int
) -> None:
    for error in ERRORS:
        server.answer("POST /tee/sessions", (status, {"error": error}))

        with pytest.raises(SessionRefused, match=error) as refused:
            await sms.session(OURS, "0x51")

        assert refused.value.cause.value == f"TEE_SESSION_GENERATION_{error}"


def test_no_cause_of_a_session_is_left_out_here() -> None:
    prefix = "TEE_SESSION_GENERATION_"
    known = {c.value.removeprefix(prefix) for c in Cause if c.value.startswith(prefix)}

    assert known == set(ERRORS)


async def test_an_error_that_is_newer_than_we_are_is_an_unknown_issue(
    server: Server, sms: Sms
) -> None:
    server.answer("POST /tee/sessions", (500, {"error": "MARTIANS_LANDED"}))

    with pytest.raises(SessionRefused) as refused:
        await sms.session(OURS, "0x51")

    assert refused.value.cause is Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, Unavailable),
        ((500, "oops"), Unavailable),
        ((500, {"status": 500, "error": "Internal Server Error"}), Unavailable),
        ((400, {"status": 400, "error": "Bad Request"}), Rejected),
        (401, Unauthorized),
        ({"data": None}, Unavailable),
        ({"data": {"sessionId": "a", "secretProvisioningUrl": ""}}, Unavailable),
        ({"data": {"sessionId": "a b", "secretProvisioningUrl": "cas:1"}}, Unavailable),
        ((200, "{}"), Unavailable),
    ],
)
async def test_what_says_no_reason_has_that_of_its_status(
    server: Server, sms: Sms, answer: object, error: type[Exception]
) -> None:
    server.answer("POST /tee/sessions", answer)

    with pytest.raises(error) as raised:
        await sms.session(OURS, "0x51")

    assert type(raised.value) is error


async def test_an_answer_without_an_end_is_not_read_to_it(server: Server, sms: Sms) -> None:
    server.answer("GET /tee/framework", (200, LONGEST_ANSWER * "S" + "S"))

    with pytest.raises(Unavailable, match="without an end"):
        await sms.framework()


async def test_an_sms_that_is_away_is_named_without_its_credentials() -> None:
    async with make_client(Outbound(), timeout=5) as client:
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1") as away:
            await Sms(client, "http://user:pass@127.0.0.1:1").framework()

    assert "pass" not in str(away.value)


@pytest.mark.parametrize("url", ["", "http://[", "http://a:b:c", "not a url", "/tee", "ftp://a"])
async def test_what_is_no_url_of_a_server_is_an_error_of_ours(url: str) -> None:
    async with make_client(Outbound(), timeout=5) as client:
        with pytest.raises((Rejected, Unavailable)):
            await Sms(client, url).framework()
