"""What apps are confined to, for tests of all parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.config import load
from iexec_worker.engine.networks.apps import AppNetwork
from iexec_worker.engine.sandbox import Sandbox

if TYPE_CHECKING:
    from iexec_worker.engine.client import Engine


def sandbox(engine: Engine, slots: int = 1, /, **variables: str) -> Sandbox:
    """Make one from variables, without `IEXEC_WORKER_TASK_`; the network is full by default."""
    given = {f"IEXEC_WORKER_TASK_{name}": text for name, text in variables.items()}
    usual = {"POOL_ADDRESS": "0x" + 40 * "a", "IEXEC_WORKER_TASK_NETWORK": "full"}
    wanted = load(usual | given, cpu_count=1).config.sandbox
    return Sandbox(engine, AppNetwork(engine, wanted.network), wanted, slots, floor=0)
