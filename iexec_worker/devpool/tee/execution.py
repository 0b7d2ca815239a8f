"""Whether an execution is authorized, and what the chain says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from iexec_worker.chain.multiaddress import decode_multiaddress
from iexec_worker.devpool.chain.hashing import from_hex, signed_prefixed
from iexec_worker.devpool.chain.tags import framework_of
from iexec_worker.devpool.scheduler import deal_params
from iexec_worker.errors import Reverted, Unavailable
from iexec_worker.model import ZERO_ADDRESS, TaskStatus

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.onchain import PoolApp, PoolDataset, PoolDeal, PoolTask
    from iexec_worker.devpool.permits import Permit
    from iexec_worker.devpool.scheduler.deal_params import Params
    from iexec_worker.model import TeeFramework


class Chain(Protocol):
    """What an SMS reads; all raise Unavailable without an answer of the node."""

    async def task(self, task_id: str) -> PoolTask | None:
        """A task, None while it is not initialised."""

    async def deal(self, deal_id: str) -> PoolDeal | None:
        """A deal, None if there is none."""

    async def app(self, address: str) -> PoolApp:
        """An app."""

    async def dataset(self, address: str) -> PoolDataset:
        """A dataset."""


@frozen
class Dataset:
    """A dataset where pre-compute gets it; *url* is a path below a gateway (`/ipfs/…`) for IPFS."""

    address: str
    url: str
    checksum: str


@frozen
class Execution:
    """One task with all that was agreed upon; *datasets* are those of a bulk, in order."""

    task_id: str
    index: int
    deal: PoolDeal
    params: Params
    framework: TeeFramework | None
    app: PoolApp
    dataset: Dataset | None
    datasets: tuple[Dataset, ...] = ()

    @property
    def has_callback(self) -> bool:
        """True iff a contract waits for the result."""
        return self.deal.callback != ZERO_ADDRESS

    @property
    def has_inputs(self) -> bool:
        """True iff pre-compute has something to do."""
        return bool(self.dataset or self.params.input_files or self.params.bulk_cid)


async def refuse(chain: Chain, permit: Permit, version: tuple[int, ...]) -> str | None:
    """Why *permit* allows nothing, by the SMS's name for it; None: it does."""
    if not permit.chain_task_id or not permit.signature:
        return "EMPTY_PARAMS_UNAUTHORIZED"
    if not _is_id(permit.chain_task_id):
        return "GET_CHAIN_TASK_FAILED"
    try:
        task = await chain.task(permit.chain_task_id)
        deal = await chain.deal(task.deal_id) if task else None
    except (Unavailable, Reverted):
        return "GET_CHAIN_TASK_FAILED"
    if task is None:
        return "GET_CHAIN_TASK_FAILED"
    if deal is None:
        return "GET_CHAIN_DEAL_FAILED"
    return _refuse(permit, task, deal, version)


def _is_id(text: str) -> bool:
    try:
        return len(from_hex(text)) == 32
    except ValueError:
        return False


def _refuse(permit: Permit, task: PoolTask, deal: PoolDeal, version: tuple[int, ...]) -> str | None:
    is_tee = framework_of(deal.tag, version) is not None
    if (permit.enclave_challenge != ZERO_ADDRESS) != is_tee:
        return "NO_MATCH_ONCHAIN_TYPE"
    if task.status is not TaskStatus.ACTIVE:
        return "TASK_NOT_ACTIVE"
    if not signed_prefixed(permit.hash, permit.signature, deal.workerpool.owner):
        return "INVALID_SIGNATURE"
    return None


async def look_up(chain: Chain, task_id: str, version: tuple[int, ...]) -> Execution | None:
    """Read all about a task; None when something cannot be read."""
    try:
        task = await chain.task(task_id)
        deal = await chain.deal(task.deal_id) if task else None
        if task is None or deal is None:
            return None
        return Execution(
            task_id=task_id,
            index=task.index,
            deal=deal,
            params=deal_params.read(deal.params, version[0]),
            framework=framework_of(deal.tag, version),
            app=await chain.app(deal.app.pointer),
            dataset=await look_up_dataset(chain, deal.dataset.pointer),
        )
    except (Unavailable, Reverted):
        return None


async def look_up_dataset(chain: Chain, address: str) -> Dataset | None:
    """Read where a dataset is; None for the zero address, and for one without a location."""
    if address == ZERO_ADDRESS:
        return None
    found = await chain.dataset(address)
    url = decode_multiaddress(found.location)
    return Dataset(address.lower(), url, found.checksum) if url else None
