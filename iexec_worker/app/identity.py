"""What parts are built from: what a process has for its whole life, and what it has of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from iexec_worker.app.clients import Clients
    from iexec_worker.app.disk import Disk
    from iexec_worker.app.enclaves import Enclaves
    from iexec_worker.app.watches import EngineWatch
    from iexec_worker.chain.gas import GasRules
    from iexec_worker.chain.hub import Hub
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.chain.node.provider import NodeProvider
    from iexec_worker.chain.transactions.writer import Transactions
    from iexec_worker.chain.wallet import Wallet
    from iexec_worker.config import Config
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.membership.ending import Ending
    from iexec_worker.replicates.slots import Slots
    from iexec_worker.telemetry.durations import Durations
    from iexec_worker.telemetry.prometheus import Metrics


@frozen
class Identity:
    """What stays the same for the whole life of the process."""

    config: Config
    wallet: Wallet
    clients: Clients
    durations: Durations
    metrics: Metrics
    slots: Slots
    ending: Ending
    engine: EngineWatch
    disk: Disk
    sandbox: Sandbox
    enclaves: Enclaves


@frozen
class Chain:
    """The parts that know the chain; *blocks* and *transactions* have to be run."""

    provider: NodeProvider
    blocks: BlockWatch
    hub: Hub
    transactions: Transactions
    rules: GasRules
