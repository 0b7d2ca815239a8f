from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.tee.properties import Properties, StageProperties
from iexec_worker.model import ZERO_ADDRESS, TaskStatus, TeeFramework
from tests.devpool.tee.sms.desk import (
    APP,
    CALLBACK,
    CHECKSUM,
    DATASET,
    IPFS,
    OWNER,
    REQUESTER,
    STRANGER,
    TASK,
    TOKEN,
    WORKER,
    address,
)

if TYPE_CHECKING:
    from tests.devpool.tee.sms.desk import Desk

EIGHT = pytest.mark.parametrize("version", ["8.7.0"])


@pytest.fixture
async def ready(desk: Desk) -> Desk:
    """Everything is there for a session."""
    await desk.ask_challenge()
    assert await desk.keep("POST", "token") == 204
    return desk


def refused(error: str, status: int = 500) -> tuple[int, dict[str, str]]:
    return status, {"error": error}


def unauthorized(reason: str) -> tuple[int, dict[str, str]]:
    return refused(f"EXECUTION_NOT_AUTHORIZED_{reason}", 401)


async def test_the_worker_with_a_permit_gets_a_session(ready: Desk) -> None:
    status, body = await ready.ask_session()

    assert status == 200
    assert body.keys() == {"data"}
    assert body["data"]["secretProvisioningUrl"] == ready.sms.provisioning_url
    session_id = body["data"]["sessionId"]
    assert session_id[:10].isalnum()
    assert session_id[10:] == f"0000{TASK}"
    assert (await ready.ask_session())[1] != body


async def test_somebody_elses_signature_is_refused(ready: Desk) -> None:
    assert await ready.ask_session(signer=STRANGER) == refused("INVALID_AUTHORIZATION", 401)
    answer = await ready.client.post("/tee/sessions", json=ready.permit())
    assert answer.status_code == 400
    header = {"Authorization": "0x" + 130 * "1"}
    for body in ({}, {"workerWallet": "x", "signature": 5}):
        answer = await ready.client.post("/tee/sessions", json=body, headers=header)
        assert (answer.status_code, answer.json()["error"]) == (401, "INVALID_AUTHORIZATION")


async def test_a_permit_by_anybody_but_the_pool_is_refused(ready: Desk) -> None:
    for signer in (STRANGER, WORKER):
        forged = ready.permit(signer)
        assert await ready.ask_session(forged) == unauthorized("INVALID_SIGNATURE")


async def test_a_permit_has_to_match_the_chain(ready: Desk) -> None:
    ask = ready.ask_session

    no_challenge = ready.permit(enclaveChallenge=ZERO_ADDRESS)
    assert await ask(no_challenge) == unauthorized("NO_MATCH_ONCHAIN_TYPE")
    other_task = ready.permit(chainTaskId="0x" + 64 * "9")
    assert await ask(other_task) == unauthorized("GET_CHAIN_TASK_FAILED")
    unsigned = {**ready.permit(), "signature": None}
    assert await ask(unsigned) == unauthorized("EMPTY_PARAMS_UNAUTHORIZED")
    ready.chain.status = TaskStatus.REVEALING
    assert await ask() == unauthorized("TASK_NOT_ACTIVE")
    ready.agree(deal_id="0x" + 64 * "8")
    assert await ask() == unauthorized("GET_CHAIN_DEAL_FAILED")
    ready.chain.away = True
    assert await ask() == unauthorized("GET_CHAIN_TASK_FAILED")


async def test_the_sms_of_another_framework_makes_none(ready: Desk) -> None:
    ready.agree(tag=tag_of(TeeFramework.GRAMINE))

    assert await ready.ask_session() == refused("SECURE_SESSION_NO_TEE_FRAMEWORK")


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("", "NO_ENCLAVE_CONFIG"),
        ("[]", "NO_ENCLAVE_CONFIG"),
        ('{"mood": "good"}', "NO_ENCLAVE_CONFIG"),
        ('{"framework": "SCONE"}', "INVALID_ENCLAVE_CONFIG"),
        ('{"framework": "GRAMINE", "fingerprint": "12"}', "INVALID_ENCLAVE_CONFIG"),
        (json.dumps({"framework": "SCONE", "fingerprint": 64 * "a"}), "INVALID_ENCLAVE_CONFIG"),
        (json.dumps({"provider": "GRAMINE", "fingerprint": 64 * "a"}), None),
    ],
)
async def test_an_app_needs_its_enclave_configuration(
    ready: Desk, config: str, error: str | None
) -> None:
    ready.chain.registered = attrs.evolve(ready.chain.registered, enclave=config)

    expected = refused(f"APP_COMPUTE_{error}") if error else 200
    answer = await ready.ask_session()
    assert answer == expected if error else answer[0] == expected


@pytest.mark.parametrize("framework", [TeeFramework.TDX])
async def test_an_app_of_tdx_needs_none(ready: Desk) -> None:
    ready.chain.registered = attrs.evolve(ready.chain.registered, enclave="")

    assert (await ready.ask_session())[0] == 200


async def test_a_dataset_needs_its_key(ready: Desk) -> None:
    ready.agree(dataset=attrs.evolve(ready.chain.made.dataset, pointer=DATASET))

    assert await ready.ask_session() == refused("PRE_COMPUTE_GET_DATASET_SECRET_FAILED")
    ready.sms.vault.datasets[DATASET] = "key"
    secrets = await ready.secrets("pre-compute")
    assert secrets["IS_DATASET_REQUIRED"] == "true"
    assert secrets["IEXEC_DATASET_KEY"] == "key"
    assert secrets["IEXEC_DATASET_URL"] == "http://host/data"
    assert secrets["IEXEC_DATASET_FILENAME"] == DATASET
    assert secrets["IEXEC_DATASET_CHECKSUM"] == CHECKSUM


async def test_a_result_needs_somebodys_token(desk: Desk) -> None:
    await desk.ask_challenge()

    error = "POST_COMPUTE_GET_STORAGE_TOKENS_FAILED"
    assert await desk.ask_session() == refused(error)
    desk.sms.vault.keep(REQUESTER, TOKEN, "the requester's")
    assert (await desk.secrets("post-compute"))["RESULT_STORAGE_TOKEN"] == "the requester's"
    await desk.keep("POST", "the worker's")
    assert (await desk.secrets("post-compute"))["RESULT_STORAGE_TOKEN"] == "the worker's"
    desk.agree(params='{"iexec_result_storage_provider": "dropbox"}')
    assert await desk.ask_session() == refused(error)
    desk.sms.vault.keep(REQUESTER, "iexec-result-dropbox-token", "box")
    secrets = await desk.secrets("post-compute")
    assert (secrets["RESULT_STORAGE_PROVIDER"], secrets["RESULT_STORAGE_TOKEN"]) == (
        "dropbox",
        "box",
    )


async def test_a_callback_needs_none(desk: Desk) -> None:
    await desk.ask_challenge()
    desk.agree(callback=CALLBACK)

    secrets = await desk.secrets("post-compute")

    assert {k: v for k, v in secrets.items() if k.startswith("RESULT_STORAGE")} == {
        "RESULT_STORAGE_CALLBACK": "true",
        "RESULT_STORAGE_PROVIDER": "",
        "RESULT_STORAGE_PROXY": "",
        "RESULT_STORAGE_TOKEN": "",
    }


async def test_encryption_needs_the_beneficiarys_key(ready: Desk) -> None:
    wanted = {"iexec_result_encryption": True, "iexec_result_storage_provider": "ipfs"}
    ready.agree(params=json.dumps(wanted))

    error = "POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY"
    assert await ready.ask_session() == refused(error)
    ready.sms.vault.keep(REQUESTER, "iexec-result-encryption-public-key", "public")
    secrets = await ready.secrets("post-compute")
    assert secrets["RESULT_ENCRYPTION"] == "true"
    assert secrets["RESULT_ENCRYPTION_PUBLIC_KEY"] == "public"


async def test_an_sms_that_forgot_has_no_key_to_sign_with(ready: Desk) -> None:
    ready.sms.forget()
    await ready.keep("POST", "token")

    error = "GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE"
    assert await ready.ask_session() == refused(error)


@EIGHT
async def test_8_7_has_another_name_for_that(ready: Desk) -> None:
    ready.sms.forget()
    await ready.keep("POST", "token")

    error = "POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE"
    assert await ready.ask_session() == refused(error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("INVALID_AUTHORIZATION", 401),
        ("EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE", 401),
        ("SECURE_SESSION_STORAGE_CALL_FAILED", 500),
        ("SOMETHING_NEW", 500),
    ],
)
async def test_sessions_are_refused_on_demand(ready: Desk, error: str, status: int) -> None:
    fault = ready.sms.refuse_sessions(error, times=1)

    assert await ready.ask_session() == refused(error, status)
    assert fault.hits == 1
    assert (await ready.ask_session())[0] == 200


async def test_post_compute_gets_what_it_signs_and_uploads_with(ready: Desk) -> None:
    owner, name = address(OWNER), "iexec-result-iexec-result-proxy-url"
    ready.sms.vault.keep(owner, name, "http://proxy")

    assert await ready.secrets("post-compute") == {
        "RESULT_ENCRYPTION": "false",
        "RESULT_ENCRYPTION_PUBLIC_KEY": "",
        "RESULT_STORAGE_CALLBACK": "false",
        "RESULT_STORAGE_PROVIDER": "ipfs",
        "RESULT_STORAGE_PROXY": "http://proxy",
        "RESULT_STORAGE_TOKEN": "token",
        "IEXEC_TASK_ID": TASK,
        "SIGN_WORKER_ADDRESS": WORKER.address,
        "SIGN_TEE_CHALLENGE_PRIVATE_KEY": ready.sms.enclave_key(TASK),
    }


@EIGHT
async def test_8_7_names_it_otherwise(ready: Desk) -> None:
    ready.agree(params=IPFS[:-1] + ', "iexec_result_storage_proxy": "http://own"}')

    assert await ready.secrets("post-compute") == {
        "RESULT_ENCRYPTION": "no",
        "RESULT_ENCRYPTION_PUBLIC_KEY": "",
        "RESULT_STORAGE_CALLBACK": "no",
        "RESULT_STORAGE_PROVIDER": "ipfs",
        "RESULT_STORAGE_PROXY": "http://own",
        "RESULT_STORAGE_TOKEN": "token",
        "RESULT_TASK_ID": TASK,
        "RESULT_SIGN_WORKER_ADDRESS": WORKER.address,
        "RESULT_SIGN_TEE_CHALLENGE_PRIVATE_KEY": ready.sms.enclave_key(TASK),
    }


@pytest.mark.parametrize(("version", "signs"), [("9.3.1", True), ("8.7.0", False)])
async def test_pre_compute_signs_from_9_0_on(ready: Desk, signs: bool) -> None:
    urls = ["http://a/1", "http://a/2"]
    ready.agree(params=json.dumps({"iexec_input_files": urls}))

    secrets = await ready.secrets("pre-compute")

    assert secrets["IEXEC_PRE_COMPUTE_OUT"] == "/iexec_in"
    assert secrets["IS_DATASET_REQUIRED"] == "false"
    assert secrets["IEXEC_INPUT_FILES_NUMBER"] == "2"
    assert [secrets[f"IEXEC_INPUT_FILE_URL_{n}"] for n in (1, 2)] == urls
    assert secrets["IEXEC_TASK_ID"] == TASK
    assert ("SIGN_TEE_CHALLENGE_PRIVATE_KEY" in secrets) is signs


async def test_without_inputs_there_is_no_pre_compute(ready: Desk) -> None:
    session = (await ready.ask_session())[1]["data"]["sessionId"]

    places = (f"{session}/pre-compute", f"{session}/dinner", "unknown/app", "unknown")
    for place in places:
        answer = await ready.client.get(f"{ready.provisioning}/sessions/{place}")
        assert (answer.status_code, answer.content) == (404, b"")


async def test_the_app_gets_what_standard_ones_get_and_secrets(ready: Desk) -> None:
    wanted = {"iexec_secrets": {"2": "name", "3": "unknown"}, "iexec_input_files": ["http://a/1"]}
    ready.agree(params=json.dumps(wanted))
    ready.sms.vault.apps[APP] = "developer's"
    ready.sms.vault.requesters[REQUESTER, "name"] = "requester's"

    secrets = await ready.secrets("app")

    assert secrets == {
        "IEXEC_DEAL_ID": ready.chain.made.deal_id,
        "IEXEC_TASK_INDEX": "0",
        "IEXEC_TASK_ID": TASK,
        "IEXEC_IN": "/iexec_in",
        "IEXEC_OUT": "/iexec_out",
        "IEXEC_BOT_SIZE": "1",
        "IEXEC_BOT_FIRST_INDEX": "0",
        "IEXEC_BOT_TASK_INDEX": "0",
        "IEXEC_DATASET_ADDRESS": ZERO_ADDRESS,
        "IEXEC_DATASET_FILENAME": ZERO_ADDRESS,
        "IEXEC_INPUT_FILES_NUMBER": "1",
        "IEXEC_INPUT_FILES_FOLDER": "/iexec_in",
        # sha256 of the URL
        "IEXEC_INPUT_FILE_NAME_1": secrets["IEXEC_INPUT_FILE_NAME_1"],
        "IEXEC_APP_DEVELOPER_SECRET": "developer's",
        "IEXEC_APP_DEVELOPER_SECRET_1": "developer's",
        "IEXEC_REQUESTER_SECRET_2": "requester's",
    }
    assert len(secrets["IEXEC_INPUT_FILE_NAME_1"]) == 66


async def test_a_bulk_has_the_datasets_of_the_tasks_slice(ready: Desk) -> None:
    files = ready.sms.sessions.files
    slice_ = await files.add(json.dumps([{"dataset": DATASET}, {"dataset": APP}]).encode())
    bulk = await files.add(json.dumps([slice_]).encode())
    ready.agree(params=json.dumps({"bulk_cid": bulk}))
    ready.sms.vault.datasets[DATASET] = "key"

    secrets = await ready.secrets("pre-compute")

    assert secrets["IEXEC_BULK_SLICE_SIZE"] == "2"
    assert secrets["IEXEC_DATASET_1_KEY"] == "key"
    assert secrets["IEXEC_DATASET_1_URL"] == "http://host/data"
    assert secrets["IEXEC_DATASET_1_FILENAME"] == DATASET
    assert secrets["IEXEC_DATASET_2_KEY"] == ""
    assert (await ready.secrets("app"))["IEXEC_DATASET_2_FILENAME"] == APP


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'["Qm"]', b"[5]"])
async def test_a_bulk_that_cannot_be_read_has_no_datasets(
    ready: Desk, content: bytes | None
) -> None:
    bulk = "Qm" if content is None else await ready.sms.sessions.files.add(content)
    ready.agree(params=json.dumps({"bulk_cid": bulk}))

    assert (await ready.secrets("pre-compute"))["IEXEC_BULK_SLICE_SIZE"] == "0"


@pytest.mark.parametrize("framework", [TeeFramework.TDX])
async def test_an_agent_gets_the_whole_session(ready: Desk) -> None:
    post = StageProperties("post:1", 64 * "2")
    ready.sms.properties = {"v0": Properties(post=post)}

    document = await ready.secrets()

    app, last = document["services"]
    assert document["version"] == "v0"
    assert (document["name"][10:], app["name"], last["name"]) == (
        "0000" + TASK,
        "app",
        "post-compute",
    )
    assert (app["image_name"], app["fingerprint"]) == ("registry/app:1.0", 64 * "b")
    assert (last["image_name"], last["fingerprint"]) == ("post:1", 64 * "2")
    assert last["environment"]["RESULT_STORAGE_TOKEN"] == "token"
