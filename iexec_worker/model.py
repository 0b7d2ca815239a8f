"""
What the worker talks about: frozen values without behaviour beyond reading themselves.

Hashes, addresses and task ids are `0x` + lower-case hex everywhere (the pool compares them as
exact strings). Times are seconds (chain times since the epoch), sizes bytes.
"""

from __future__ import annotations

import enum
from typing import Final

from attrs import field, frozen

from iexec_worker.wire import Action, Cause, Status

ZERO_ADDRESS: Final = "0x" + 40 * "0"
ZERO_HASH: Final = "0x" + 64 * "0"


@frozen
class Authorization:
    """The pool's permission to contribute to one task (`WorkerpoolAuthorization`)."""

    chain_task_id: str
    worker_wallet: str
    enclave_challenge: str
    signature: str
    deal_id: str = ZERO_HASH
    task_index: int = 0


@frozen
class ReplicateOffer:
    """An answer of `/replicates/available`; *sms_url* is set for TEE tasks only."""

    authorization: Authorization
    sms_url: str | None


@frozen
class Notification:
    """A message of the pool about one task. *workers* None: for nobody; empty: for everybody."""

    chain_task_id: str
    action: Action
    workers: tuple[str, ...] | None
    block_number: int = 0
    abort_cause: Cause = Cause.UNKNOWN
    authorization: Authorization | None = None

    def is_for(self, wallet: str) -> bool:
        """True iff the worker with address *wallet* is meant."""
        return self.workers is not None and (not self.workers or wallet in self.workers)


@frozen
class ChainReceipt:
    """Where a transaction of ours was mined: the block of its event, and its hash."""

    block_number: int
    tx_hash: str


@frozen
class ComputeLogs:
    """What the app printed, each its last 100,000 characters."""

    stdout: str
    stderr: str


@frozen
class StatusUpdate:
    """One status of a replicate with its details, as told to the pool."""

    status: Status
    cause: Cause | None = None
    exit_code: int | None = None
    compute_logs: ComputeLogs | None = None
    chain_receipt: ChainReceipt | None = None
    result_link: str | None = None
    chain_callback_data: str | None = None


@frozen
class PoolConfig:
    """`GET /workers/config`. *ask_period* is in seconds (milliseconds on the wire)."""

    pool_address: str
    scheduler_address: str
    config_server_url: str
    result_proxy_url: str
    ask_period: float
    required_worker_version: str


@frozen
class ChainConfig:
    """`GET /config/chain` of the config server; *block_time* in seconds."""

    chain_id: int
    sidechain: bool
    node_url: str
    hub_address: str
    block_time: float


@frozen
class WorkerModel:
    """What the worker says of itself when it registers; *memory_size* in GB."""

    name: str
    wallet_address: str
    os: str
    cpu: str
    cpu_nb: int
    memory_size: int
    gpu_enabled: bool
    tee_enabled: bool
    tdx_enabled: bool


class TeeFramework(enum.Enum):
    """The low nibble of a deal's tag; any other value is a standard task."""

    SCONE = 0b0011
    GRAMINE = 0b0101
    TDX = 0b1001


@frozen
class DealParams:
    """The requester's parameters; text that is not strictly valid becomes *args* as a whole."""

    args: str = ""
    input_files: tuple[str, ...] = ()
    result_encryption: bool = False
    storage_provider: str = ""
    storage_proxy: str = ""
    secrets: dict[str, str] = field(factory=dict, hash=False)
    bulk_cid: str = ""


@frozen
class TaskDescription:
    """Everything about a task that never changes on-chain: read once."""

    chain_task_id: str
    deal_id: str
    index: int
    app_address: str
    app_type: str
    app_uri: str
    app_enclave: str
    dataset_address: str
    dataset_name: str
    dataset_uri: str
    dataset_checksum: str
    requester: str
    beneficiary: str
    callback: str
    params: DealParams
    tag: str
    trust: int
    time_reference: float
    bot_first: int
    bot_size: int
    start_time: int
    contribution_deadline: int
    final_deadline: int
    worker_stake: int

    @property
    def tee_framework(self) -> TeeFramework | None:
        """The framework of a TEE task, None for a standard one."""
        nibble = int(self.tag, 16) & 0xF
        return next((f for f in TeeFramework if f.value == nibble), None)

    @property
    def is_finalized_by_us(self) -> bool:
        """True iff the one worker of a trusted task also ends it, so that nothing is staked."""
        return self.trust == 1 and self.tee_framework is not None

    @property
    def has_input(self) -> bool:
        """True iff there is something that an app reads, of any kind."""
        return self.has_dataset or bool(self.params.input_files or self.params.bulk_cid)

    @property
    def has_dataset(self) -> bool:
        """True iff the deal names a dataset with somewhere to get it from."""
        return self.dataset_address != ZERO_ADDRESS and bool(self.dataset_uri)

    @property
    def has_callback(self) -> bool:
        """True iff the result goes to a contract instead of a storage."""
        return self.callback != ZERO_ADDRESS


class TaskStatus(enum.IntEnum):
    """A task's status on-chain."""

    UNSET = 0
    ACTIVE = 1
    REVEALING = 2
    COMPLETED = 3
    FAILED = 4


@frozen
class OnchainTask:
    """A task's state on-chain now. Deadlines are 0 while unset."""

    status: TaskStatus
    deal_id: str
    index: int
    contribution_deadline: int
    reveal_deadline: int
    final_deadline: int
    consensus_value: str
    reveal_counter: int
    winner_counter: int
    contributors: tuple[str, ...]
    results: bytes


class ContributionStatus(enum.IntEnum):
    """A contribution's status on-chain."""

    UNSET = 0
    CONTRIBUTED = 1
    PROVED = 2
    REJECTED = 3


@frozen
class Contribution:
    """One worker's contribution to one task, on-chain now."""

    status: ContributionStatus
    result_hash: str
    result_seal: str
    enclave_challenge: str


@frozen
class Account:
    """A wallet's deposit in the hub, in nRLC; *stake* is the free part."""

    stake: int
    locked: int


@frozen
class ComputedFile:
    """
    What a finished computation says of its result (`computed.json`, and what we add).

    Exactly one of *deterministic_output_path* and *callback_data* is set. *result_digest* is
    empty until it was computed.
    """

    deterministic_output_path: str = ""
    callback_data: str = ""
    result_digest: str = ""
    enclave_signature: str = ""
