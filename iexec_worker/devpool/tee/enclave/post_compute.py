"""Post-compute: the result is signed by the enclave, uploaded, and told to the worker."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.enclave import result
from iexec_worker.devpool.tee.enclave.callbacks import NotTaken
from iexec_worker.devpool.tee.enclave.requests import NoAnswer, ask
from iexec_worker.devpool.tee.enclave.signing import OTHER_KEY, as_hex, hashed, sign
from iexec_worker.devpool.tee.enclave.telling import Failed, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.devpool.tee.enclave.callbacks import Signing, Worker

_OUT: Final = "/iexec_out"
_TRUE: Final = frozenset({"true", "yes"})


def run(
    given: Mapping[str, str],
    signing: Signing,
    worker: Worker,
    orders: Mapping[str, str],
    *,
    root: str = "",
) -> None:
    """Sign, upload and tell the result; *root* is where the container's files are."""
    out, callback = Path(root + _OUT), given.get("RESULT_STORAGE_CALLBACK") in _TRUE
    file = result.computed_file(out)
    digest = orders.get("digest") or result.digest(file, out, callback=callback)
    if not callback and orders.get("upload") != "no":
        _upload(given, signing, digest, result.archive(out))
    key = OTHER_KEY if orders.get("sign") == "other" else signing.key
    file |= {
        "task-id": orders.get("task") or signing.task,
        "result-digest": digest,
        "enclave-signature": _signature(signing, digest, key),
    }
    for _ in range(int(orders.get("send") or 1)):
        try:
            worker.computed(file)
        except NotTaken as error:
            raise Failed("POST_COMPUTE_SEND_COMPUTED_FILE_FAILED", reason=str(error)) from error


def written(root: str = "") -> str:
    """What the app wrote of its arguments; orders for this part are among them."""
    path = Path(root + _OUT, "result.txt")
    return path.read_text(errors="replace") if path.is_file() else ""


def _signature(signing: Signing, digest: str, key: str) -> str:
    seal = hashed(signing.worker, signing.task, digest)
    return sign(key, hashed(as_hex(hashed(signing.task, digest)), as_hex(seal)))


def _upload(given: Mapping[str, str], signing: Signing, digest: str, archive: bytes) -> None:
    """Only IPFS is uploaded to, through the result proxy: Dropbox is somebody else's."""
    if given.get("RESULT_STORAGE_PROVIDER", "").lower() != "ipfs":
        return
    token = given.get("RESULT_STORAGE_TOKEN")
    if not token:
        raise Failed("POST_COMPUTE_STORAGE_TOKEN_MISSING")
    model = {
        "chainTaskId": signing.task,
        "image": None,
        "cmd": None,
        "zip": base64.b64encode(archive).decode(),
        "deterministHash": digest,
        "enclaveSignature": _signature(signing, digest, signing.key),
    }
    url = given.get("RESULT_STORAGE_PROXY", "").rstrip("/") + "/v1/results"
    headers = {"Content-Type": "application/json", "Authorization": token}
    try:
        say(f"uploaded as {ask('POST', url, json.dumps(model).encode(), headers).decode()}")
    except NoAnswer as error:
        raise Failed("POST_COMPUTE_IPFS_UPLOAD_FAILED", reason=str(error)) from error
