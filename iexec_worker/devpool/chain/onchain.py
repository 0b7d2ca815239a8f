"""What the pool reads from the chain: times in seconds, prices and stakes in nRLC."""

from __future__ import annotations

from attrs import frozen

from iexec_worker.model import ContributionStatus, TaskStatus


@frozen
class Block:
    """The head of the chain as the node sees it."""

    number: int
    timestamp: int


@frozen
class Asset:
    """One side of a deal: the contract, who owned it when the orders matched, and its price."""

    pointer: str
    owner: str
    price: int


@frozen
class PoolDeal:
    """A deal as `viewDeal` gives it. *tag* is 32 bytes as hex, *params* the requester's JSON."""

    deal_id: str
    app: Asset
    dataset: Asset
    workerpool: Asset
    trust: int
    category: int
    tag: str
    requester: str
    beneficiary: str
    callback: str
    params: str
    start_time: int
    bot_first: int
    bot_size: int
    worker_stake: int


@frozen
class PoolApp:
    """An app as `viewApp` gives it; *enclave* is its TEE configuration, empty for none."""

    image: str
    checksum: str
    enclave: str


@frozen
class PoolDataset:
    """A dataset as `viewDataset` gives it; *location* may be a binary multiaddress."""

    location: bytes
    checksum: str


@frozen
class PoolTask:
    """A task as `viewTask` gives it; deadlines are 0 while unset."""

    task_id: str
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
    result_digest: str
    results: bytes
    results_callback: bytes


@frozen
class PoolContribution:
    """One worker's part in a task; *weight* is the logarithm (base 2) of its group's factor."""

    status: ContributionStatus
    result_hash: str
    result_seal: str
    challenge: str
    weight: int
