"""The program in the enclaves' images, against one host that is all they talk to."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool.chain.hashing import concat_and_hash, signed_prefixed
from iexec_worker.devpool.results.digest import digest
from iexec_worker.devpool.tee.enclave.main import NO_TASK_ID, NOT_ATTESTED, NOT_REPORTED, main
from iexec_worker.devpool.tee.enclave.signing import address
from iexec_worker.devpool.tee.machine import sgx_machine
from tests.devpool.tee.conftest import KEY, TASK, WORKER, Asked, Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENCLAVE = address(KEY)


def dataset(host: Host, content: bytes) -> dict[str, str]:
    """The session of a pre-compute with one dataset."""
    return {
        **host.signing(),
        "IEXEC_PRE_COMPUTE_OUT": "/iexec_in",
        "IS_DATASET_REQUIRED": "true",
        "IEXEC_DATASET_URL": host.put("/dataset", content),
        "IEXEC_DATASET_CHECKSUM": "0x" + hashlib.sha256(content).hexdigest(),
        "IEXEC_DATASET_FILENAME": "the-dataset",
        "IEXEC_INPUT_FILES_NUMBER": "0",
    }


def pre_compute(given: dict[str, str], root: Path) -> int:
    return main("pre-compute", (), given, str(root))


def post_compute(given: dict[str, str], root: Path) -> int:
    return main("post-compute", (), given, str(root))


def result(root: Path, *orders: str, path: str = "/iexec_out/result.txt") -> None:
    """What the app left; *orders* are of its arguments."""
    words = "".join(f"argument: [post:{order}]\n" for order in orders)
    (root / "iexec_out" / "result.txt").write_text(f"task index: 0 of 1\n{words}")
    computed = json.dumps({"deterministic-output-path": path})
    (root / "iexec_out" / "computed.json").write_text(computed)


def storage(host: Host) -> dict[str, str]:
    """The session of a post-compute."""
    return {
        **host.signing(),
        "RESULT_STORAGE_CALLBACK": "false",
        "RESULT_STORAGE_PROVIDER": "ipfs",
        "RESULT_STORAGE_PROXY": f"http://{host.place}",
        "RESULT_STORAGE_TOKEN": "the-token",
    }


def is_by_the_enclave(asked: Asked) -> bool:
    hashed = concat_and_hash(TASK, WORKER)
    return signed_prefixed(hashed, asked.authorization or "", ENCLAVE)


def test_a_dataset_is_downloaded(host: Host, root: Path) -> None:
    assert pre_compute(dataset(host, b"content"), root) == 0
    assert (root / "iexec_in" / "the-dataset").read_bytes() == b"content"
    assert host.asked == []


def test_input_files_are_named_by_their_urls(host: Host, root: Path) -> None:
    urls = [host.put(f"/{name}", name.encode()) for name in ("one", "two")]
    inputs = {f"IEXEC_INPUT_FILE_URL_{n}": url for n, url in enumerate(urls, 1)}
    wanted = {"IS_DATASET_REQUIRED": "no", "IEXEC_INPUT_FILES_NUMBER": "2", **inputs}

    assert pre_compute(dataset(host, b"") | wanted, root) == 0
    assert {path.name: path.read_bytes() for path in (root / "iexec_in").iterdir()} == {
        "0x" + hashlib.sha256(url.encode()).hexdigest(): name
        for url, name in zip(urls, (b"one", b"two"), strict=True)
    }


def test_a_bulk_has_its_datasets_by_number(host: Host, root: Path) -> None:
    wanted = {"IS_DATASET_REQUIRED": "false", "IEXEC_BULK_SLICE_SIZE": "2"}
    for number, content in enumerate((b"first", b"second"), 1):
        one = dataset(host, content)
        wanted |= {
            f"IEXEC_DATASET_{number}_URL": host.put(f"/{number}", content),
            f"IEXEC_DATASET_{number}_CHECKSUM": one["IEXEC_DATASET_CHECKSUM"],
            f"IEXEC_DATASET_{number}_FILENAME": f"slice-{number}",
        }

    assert pre_compute(dataset(host, b"") | wanted, root) == 0
    assert (root / "iexec_in" / "slice-1").read_bytes() == b"first"
    assert (root / "iexec_in" / "slice-2").read_bytes() == b"second"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"IEXEC_PRE_COMPUTE_OUT": ""}, "OUTPUT_PATH_MISSING"),
        ({"IEXEC_PRE_COMPUTE_OUT": "/nowhere"}, "OUTPUT_FOLDER_NOT_FOUND"),
        ({"IEXEC_DATASET_URL": ""}, "DATASET_URL_MISSING"),
        ({"IEXEC_DATASET_URL": "https://nowhere"}, "DATASET_DOWNLOAD_FAILED"),
        ({"IEXEC_DATASET_CHECKSUM": "0x00"}, "INVALID_DATASET_CHECKSUM"),
        ({"IEXEC_INPUT_FILES_NUMBER": "1"}, "AT_LEAST_ONE_INPUT_FILE_URL_MISSING"),
    ],
)
def test_what_is_wrong_with_inputs_is_told_with_its_cause(
    changed: dict[str, str], cause: str, host: Host, root: Path
) -> None:
    assert pre_compute(dataset(host, b"content") | changed, root) == 1
    (asked,) = host.asked
    assert asked.path == f"/compute/pre/{TASK}/exit-causes"
    assert [told["cause"] for told in asked.body] == [f"PRE_COMPUTE_{cause}"]
    assert is_by_the_enclave(asked)


def test_a_dataset_may_order_causes_in_the_form_of_9_1(host: Host, root: Path) -> None:
    given = dataset(host, b"pre-compute: form=9.1 causes=ONE,TWO\nand more")
    assert pre_compute(given, root) == 1
    assert [asked.body for asked in host.asked] == [["ONE", "TWO"]]


def test_a_dataset_may_order_another_signer(host: Host, root: Path) -> None:
    pre_compute(dataset(host, b"pre-compute: authorize=other causes=ONE"), root)
    (asked,) = host.asked
    assert not is_by_the_enclave(asked)


def test_a_dataset_may_order_an_exit_code(host: Host, root: Path) -> None:
    assert pre_compute(dataset(host, b"pre-compute: exit=3"), root) == 3
    assert host.asked == []


def test_causes_that_are_not_taken_are_exit_2(host: Host, root: Path) -> None:
    host.status = 401
    assert pre_compute(dataset(host, b"pre-compute: causes=ONE"), root) == NOT_REPORTED


def test_without_a_task_there_is_nobody_to_tell(host: Host, root: Path) -> None:
    given = dataset(host, b"content")
    del given["IEXEC_TASK_ID"]
    assert pre_compute(given, root) == NO_TASK_ID


def test_a_result_is_uploaded_and_told_with_the_signature_of_the_enclave(
    host: Host, root: Path
) -> None:
    result(root)
    assert post_compute(storage(host), root) == 0

    upload, told = host.asked
    assert (upload.path, upload.authorization) == ("/v1/results", "the-token")
    assert upload.body["chainTaskId"] == TASK
    archive = base64.b64decode(upload.body["zip"])
    assert digest(archive) == upload.body["deterministHash"] == told.body["result-digest"]

    assert told.path == f"/compute/post/{TASK}/computed"
    assert is_by_the_enclave(told)
    assert told.body["task-id"] == TASK
    assert told.body["deterministic-output-path"] == "/iexec_out/result.txt"
    assert told.body["enclave-signature"] == upload.body["enclaveSignature"]
    found = told.body["result-digest"]
    hashed = concat_and_hash(concat_and_hash(TASK, found), concat_and_hash(WORKER, TASK, found))
    assert signed_prefixed(hashed, told.body["enclave-signature"], ENCLAVE)


def test_a_folder_has_the_digest_that_the_proxy_computes(host: Host, root: Path) -> None:
    result(root, path="/iexec_out")
    (root / "iexec_out" / "deep").mkdir()
    (root / "iexec_out" / "deep" / "file").write_text("deep")
    assert post_compute(storage(host), root) == 0
    upload, told = host.asked
    assert digest(base64.b64decode(upload.body["zip"])) == told.body["result-digest"]


def test_a_callback_is_not_uploaded(host: Host, root: Path) -> None:
    (root / "iexec_out" / "computed.json").write_text('{"callback-data": "0xabcd"}')
    given = storage(host) | {"RESULT_STORAGE_CALLBACK": "true"}
    assert post_compute(given, root) == 0
    (told,) = host.asked
    assert told.body["callback-data"] == "0xabcd"
    assert told.body["result-digest"] == concat_and_hash("0xabcd")


def test_post_compute_of_8_7_calls_as_that_did(host: Host, root: Path) -> None:
    result(root)
    modern = storage(host)
    given = {name: value for name, value in modern.items() if name not in host.signing()}
    given |= {
        "RESULT_TASK_ID": TASK,
        "RESULT_SIGN_WORKER_ADDRESS": WORKER,
        "RESULT_SIGN_TEE_CHALLENGE_PRIVATE_KEY": KEY,
        "WORKER_HOST_ENV_VAR": host.place,
    }
    assert post_compute(given, root) == 0
    assert [(asked.path, asked.authorization) for asked in host.asked] == [
        ("/v1/results", "the-token"),
        (f"/iexec_out/{TASK}/computed", None),
    ]

    result(root, "causes=ONE")
    assert post_compute(given, root) == 1
    assert host.asked[-1] == Asked(f"/compute/post/{TASK}/exit", None, {"cause": "ONE"})


def leave_out(name: str) -> Callable[[Path], None]:
    return lambda out: (out / name).unlink()


def add(name: str) -> Callable[[Path], None]:
    return lambda out: (out / name).touch()


@pytest.mark.parametrize(
    ("break_it", "cause"),
    [
        (leave_out("computed.json"), "COMPUTED_FILE_NOT_FOUND"),
        (leave_out("result.txt"), "RESULT_DIGEST_COMPUTATION_FAILED"),
        (add(32 * "x"), "TOO_LONG_RESULT_FILE_NAME"),
    ],
)
def test_a_broken_result_is_told_with_its_cause(
    break_it: Callable[[Path], None], cause: str, host: Host, root: Path
) -> None:
    result(root)
    break_it(root / "iexec_out")
    assert post_compute(storage(host), root) == 1
    (asked,) = host.asked
    assert [told["cause"] for told in asked.body] == [f"POST_COMPUTE_{cause}"]


def test_an_argument_may_order_two_causes(host: Host, root: Path) -> None:
    result(root, "causes=ONE,TWO")
    assert post_compute(storage(host), root) == 1
    assert [told["cause"] for told in host.asked[-1].body] == ["ONE", "TWO"]


def test_an_argument_may_order_a_wrong_signature_of_the_result(host: Host, root: Path) -> None:
    result(root, "sign=other")
    assert post_compute(storage(host), root) == 0
    upload, told = host.asked
    # The proxy shall take it, so that it is the worker that finds out.
    assert told.body["enclave-signature"] != upload.body["enclaveSignature"]


def test_scone_gives_the_session_to_an_enclave_with_devices_and_las(host: Host, root: Path) -> None:
    host.put("/sessions/id/pre-compute", json.dumps(dataset(host, b"content")).encode())
    given = {
        "SCONE_CAS_ADDR": host.place,
        "SCONE_LAS_ADDR": host.place,
        "SCONE_CONFIG_ID": "id/pre-compute",
    }
    assert pre_compute(given, root) == NOT_ATTESTED
    with sgx_machine(root, "LEGACY"):
        assert pre_compute(given, root) == 0
        assert pre_compute(given | {"SCONE_LAS_ADDR": "127.0.0.1:1"}, root) == NOT_ATTESTED


def test_gramine_gives_the_session_to_an_enclave_with_devices_and_aesm(
    host: Host, root: Path
) -> None:
    result(root)
    host.put("/sessions/id/post-compute", json.dumps(storage(host)).encode())
    given = {"sps": host.place, "session": "id"}
    assert post_compute(given, root) == NOT_ATTESTED
    with sgx_machine(root):
        assert post_compute(given, root) == 0
        assert post_compute(given | {"session": "another"}, root) == NOT_ATTESTED
        (root / "var" / "run" / "aesmd" / "aesm.socket").unlink()
        assert post_compute(given, root) == NOT_ATTESTED
