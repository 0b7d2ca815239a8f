"""What the scheduler needs of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.onchain import Block, PoolContribution, PoolDeal, PoolTask
    from iexec_worker.model import TeeFramework


class Chain(Protocol):
    """
    The chain with the eyes and the key of the pool's owner.

    Methods raise Unavailable without an answer of the node, and Reverted when refused.
    """

    @property
    def owner_address(self) -> str:
        """The scheduler's wallet, lower-case."""

    async def latest_block(self) -> Block:
        """The head."""

    async def task(self, task_id: str) -> PoolTask | None:
        """A task, None while it is not initialised."""

    async def deal(self, deal_id: str) -> PoolDeal | None:
        """A deal, None if there is none."""

    async def contribution(self, task_id: str, worker: str) -> PoolContribution:
        """What *worker* contributed to a task."""

    async def score(self, worker: str) -> int:
        """A worker's score."""

    async def category_time(self, category: int) -> int:
        """T of a category in seconds."""

    async def balance(self, address: str) -> int:
        """Native balance in wei."""

    async def initialize(self, deal_id: str, index: int) -> str:
        """Initialise a task; returns its id once mined."""

    async def finalize(self, task_id: str, results: bytes, callback: bytes) -> None:
        """Finalise a task; returns once mined."""

    async def deals_since(self, block: int) -> tuple[list[str], int]:
        """The deals of this pool from *block* on, and where to go on."""

    async def consensus_block(self, task_id: str) -> int | None:
        """The block in which a consensus was reached."""

    def sign_prefixed(self, hash_hex: str) -> str:
        """Sign a hash, with prefix."""


class Results(Protocol):
    """The result proxy as the scheduler asks it."""

    async def stored(self, task_id: str, proxy: str, challenge: str) -> bool:
        """
        True iff the result proxy at *proxy* (empty: the pool's) has the task's result.

        *challenge* is the task's enclave challenge, without which another proxy does not answer.
        """


class SecretManagement(Protocol):
    """The secret management services (SMS), one for each TEE framework that the pool has."""

    async def url(self, framework: TeeFramework) -> str | None:
        """Where the SMS of *framework* is; None when there is none that says so itself."""

    async def challenge(self, url: str, task_id: str) -> str | None:
        """The address of the task's enclave key, kept by the SMS at *url*; None: no answer."""

    async def tell_proxy(self, url: str, proxy: str) -> None:
        """Let the SMS at *url* know where results go."""
