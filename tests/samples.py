"""One task as the chain and the pool describe it, for tests of all parts; and its usual life."""

from __future__ import annotations

from typing import Any, Final

import attrs

from iexec_worker.chain.wallet import Wallet
from iexec_worker.model import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Authorization,
    Contribution,
    ContributionStatus,
    DealParams,
    OnchainTask,
    TaskDescription,
    TaskStatus,
)
from iexec_worker.wire import Status

TASK: Final = "0x" + 64 * "a"
WALLET: Final = "0x" + 40 * "1"

#: The tag of a trusted task.
SCONE: Final = "0x" + 63 * "0" + "3"

#: A transaction of somebody, with nonce 3; nobody looks into it.
SIGNED: Final = Wallet.from_key(64 * "1").sign_transaction(
    {"nonce": 3, "gasPrice": 7, "gas": 9, "to": WALLET, "value": 0, "data": "0x", "chainId": 1}
)

#: What the pool is told of a task until our contribution is on-chain.
TO_CONTRIBUTED: Final = (
    Status.STARTING,
    Status.STARTED,
    Status.APP_DOWNLOADING,
    Status.APP_DOWNLOADED,
    Status.DATA_DOWNLOADING,
    Status.DATA_DOWNLOADED,
    Status.COMPUTING,
    Status.COMPUTED,
    Status.CONTRIBUTING,
    Status.CONTRIBUTED,
)

#: And until it is over, when our result is the one that is asked for.
TO_COMPLETED: Final = (
    *TO_CONTRIBUTED,
    Status.REVEALING,
    Status.REVEALED,
    Status.RESULT_UPLOADING,
    Status.RESULT_UPLOADED,
    Status.COMPLETING,
    Status.COMPLETED,
)

_DESCRIPTION: Final = TaskDescription(
    chain_task_id=TASK,
    deal_id=ZERO_HASH,
    index=0,
    app_address=ZERO_ADDRESS,
    app_type="DOCKER",
    app_uri="app:1",
    app_enclave="",
    dataset_address=ZERO_ADDRESS,
    dataset_name="",
    dataset_uri="",
    dataset_checksum=ZERO_HASH,
    requester=ZERO_ADDRESS,
    beneficiary=ZERO_ADDRESS,
    callback=ZERO_ADDRESS,
    params=DealParams(storage_provider="ipfs"),
    tag=ZERO_HASH,
    trust=1,
    time_reference=300,
    bot_first=0,
    bot_size=1,
    start_time=1,
    contribution_deadline=2100,
    final_deadline=3000,
    worker_stake=5,
)


def description(**changes: Any) -> TaskDescription:  # noqa: ANN401 - any field
    """A standard task, contributed to until 2100 and over at 3000; *changes* are its fields'."""
    return attrs.evolve(_DESCRIPTION, **changes)


def authorization(task_id: str = TASK) -> Authorization:
    """The pool's permission for `WALLET`; its signature is nobody's."""
    return Authorization(task_id, WALLET, ZERO_ADDRESS, "0x")


def active() -> OnchainTask:
    """The task of `description` while nobody has contributed."""
    return OnchainTask(TaskStatus.ACTIVE, ZERO_HASH, 0, 2100, 0, 3000, ZERO_HASH, 0, 0, (), b"")


def uncontributed() -> Contribution:
    """What the chain shows of us before we contribute."""
    return Contribution(ContributionStatus.UNSET, ZERO_HASH, ZERO_HASH, ZERO_ADDRESS)
