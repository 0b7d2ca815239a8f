"""What can be set about a scheduler: its version, its times, whom it lets in."""

from __future__ import annotations

import json
from typing import Any

import attrs
from attrs import frozen
from eth_utils.crypto import keccak

from iexec_worker.devpool.chain.tags import numbers


@frozen
class Periods:
    """
    The times of the scheduler's own clockwork in seconds; the defaults are iexec-core's.

    The real one looks for things in these rhythms; a test wants the same faster.
    """

    deals: float = 10.0
    blocks: float = 5.0
    lost_check: float = 30.0
    lost_after: float = 60.0
    contribution_check: float = 30.0
    final_check: float = 30.0
    reveal_check: float = 120.0
    upload_check: float = 30.0
    upload_limit: float = 120.0
    consensus_check: float = 30.0
    unnotified_ongoing: float = 30.0
    unnotified: float = 300.0
    finalize_check: float = 300.0

    def scaled(self, factor: float) -> Periods:
        """
        All of them times *factor*, but for *lost_after*: workers ping every 10 s all the same.

        Much below a tenth, the pool finds things on-chain before a worker has told them, and
        answers 208 to what it is told then.
        """
        scaled = {name: value * factor for name, value in attrs.asdict(self).items()}
        return Periods(**scaled | {"lost_after": self.lost_after})


@frozen
class SchedulerSettings:
    """
    One scheduler. Times in seconds.

    *whitelist* empty: everybody may log in. *sidechain*: wallets need no gas. *stale_after*: from
    9.2.0 on, a latest block older than that means 503. *answer_last*: what an update causes is
    done and published before the answer to it, for at most so long; 0 answers first.
    """

    pool_address: str = ""
    scheduler_address: str = ""
    config_server_url: str = ""
    result_proxy_url: str = ""
    version: str = "9.3.0"
    required_worker_version: str = ""
    ask_period: float = 5.0
    whitelist: frozenset[str] = frozenset()
    sidechain: bool = True
    block_time: float = 1.0
    stale_after: float = 15.0
    answer_last: float = 20.0
    token_life: float = 3600.0
    challenge_life: float = 300.0
    periods: Periods = Periods()

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The version as numbers, without the suffix of a snapshot."""
        return numbers(self.version)

    def public(self) -> dict[str, Any]:
        """`PublicConfiguration` as this version words it."""
        older = {"blockchainAdapterUrl": self.config_server_url} if self.numbers < (9,) else {}
        return {
            "workerPoolAddress": self.pool_address,
            **older,
            "schedulerPublicAddress": self.scheduler_address,
            "configServerUrl": self.config_server_url,
            "resultRepositoryURL": self.result_proxy_url,
            "askForReplicatePeriod": round(self.ask_period * 1000),
            "requiredWorkerVersion": self.required_worker_version,
        }

    def public_hash(self) -> str:
        """What `/workers/ping` answers: changes with the public configuration only."""
        return "0x" + keccak(text=json.dumps(self.public(), sort_keys=True)).hex()
