"""One program for all parts of a TEE task; its exit codes are causes of failure."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.enclave import orders as ordered
from iexec_worker.devpool.tee.enclave import post_compute, pre_compute
from iexec_worker.devpool.tee.enclave.callbacks import NotTaken, Signing, Worker
from iexec_worker.devpool.tee.enclave.provisioning import NotAttested, environment
from iexec_worker.devpool.tee.enclave.telling import Failed, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPORTED: Final = 1
NOT_REPORTED: Final = 2
NO_TASK_ID: Final = 3
#: What an enclave that does not come up exits with is its framework's affair; not one of these.
NOT_ATTESTED: Final = 70

#: How the app of the embedded pool is started.
_APP: Final = ("/bin/sh", "/app.sh")


def main(part: str, words: Sequence[str], given: Mapping[str, str], root: str = "") -> int:
    """
    Run *part*: "pre-compute", "app" or "post-compute"; returns the exit code.

    *words* are the arguments, *given* the variables of the container, *root* where its files are.
    """
    try:
        given = environment(given, part, root=root)
    except NotAttested as error:
        say(f"the enclave does not start: {error}")
        return NOT_ATTESTED
    if part == "app":
        return subprocess.run([*_APP, *words], env=given, check=False).returncode
    signing = _signing(given)
    if not signing.task:
        return NO_TASK_ID
    return (_pre_compute if part == "pre-compute" else _post_compute)(given, signing, root)


def _signing(given: Mapping[str, str]) -> Signing:
    """Read the values to sign with; in the 8.x stack post-compute has other names for them."""
    return Signing(
        task=given.get("IEXEC_TASK_ID") or given.get("RESULT_TASK_ID", ""),
        worker=given.get("SIGN_WORKER_ADDRESS") or given.get("RESULT_SIGN_WORKER_ADDRESS", ""),
        key=given.get("SIGN_TEE_CHALLENGE_PRIVATE_KEY")
        or given.get("RESULT_SIGN_TEE_CHALLENGE_PRIVATE_KEY", ""),
    )


def _pre_compute(given: Mapping[str, str], signing: Signing, root: str) -> int:
    orders: dict[str, str] = {}
    worker = Worker.of(given, signing, orders)
    try:
        orders = ordered.for_pre_compute(pre_compute.run(given, root=root))
        worker = Worker.of(given, signing, orders)
        _obey(orders)
    except Failed as failed:
        return _report(worker, "pre", failed)
    return int(orders.get("exit") or 0)


def _post_compute(given: Mapping[str, str], signing: Signing, root: str) -> int:
    orders = ordered.for_post_compute(post_compute.written(root))
    worker = Worker.of(given, signing, orders)
    try:
        _obey(orders)
        if "exit" not in orders:
            post_compute.run(given, signing, worker, orders, root=root)
    except Failed as failed:
        return _report(worker, "post", failed)
    return int(orders.get("exit") or 0)


def _obey(orders: Mapping[str, str]) -> None:
    time.sleep(float(orders.get("sleep") or 0))
    if causes := ordered.causes(orders):
        raise Failed(*causes, reason="as ordered")


def _report(worker: Worker, part: str, failed: Failed) -> int:
    say(f"{part}-compute failed: {failed}")
    try:
        worker.failed(part, failed.causes)
    except NotTaken:
        return NOT_REPORTED
    return REPORTED
