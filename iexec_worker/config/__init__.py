"""What an operator can set: variables → one frozen `Config`."""

from iexec_worker.config.loading import Loaded, load, load_wallet
from iexec_worker.config.sections import (
    Chain,
    Config,
    Docker,
    ImageRules,
    Inputs,
    Outbound,
    RegistryCredentials,
    Sandbox,
    Scheduler,
    Supervision,
    Tee,
    Telemetry,
    WalletFile,
    Worker,
)
from iexec_worker.config.source import Setting

__all__ = [
    "Chain",
    "Config",
    "Docker",
    "ImageRules",
    "Inputs",
    "Loaded",
    "Outbound",
    "RegistryCredentials",
    "Sandbox",
    "Scheduler",
    "Setting",
    "Supervision",
    "Tee",
    "Telemetry",
    "WalletFile",
    "Worker",
    "load",
    "load_wallet",
]
