"""What one container may use of the machine, from what is wanted and what the engine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iexec_worker.config import Sandbox

MB: Final = 1024**2

LEAST_MEMORY: Final = 6 * MB
"""Engines refuse less."""

LEAST_CPUS: Final = 0.01
"""Engines refuse less."""

#: What `docker info` calls a limit that the engine can keep, and what it is for people.
_KEPT: Final = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "CpuCfsQuota": "processors",
    "PidsLimit": "processes",
}


@frozen
class Limits:
    """
    The most that one container gets. None: the engine sets no limit, or cannot.

    *memory* and *swap* in bytes. *log_bytes* on the engine's disk, of all that it prints.
    *capabilities*: all that its root user keeps. *runtime* None: the engine's own.
    """

    memory: int | None = None
    swap: int | None = None
    cpus: float | None = None
    pids: int | None = 4096
    open_files: int | None = None
    oom_score_adj: int = 500
    log_bytes: int = 1024 * MB
    capabilities: tuple[str, ...] = ()
    runtime: str | None = None
    read_only_root: bool = False


def limits(wanted: Sandbox, slots: int, info: Mapping[str, Any]) -> Limits:
    """
    Share the machine of an engine with this *info* among *slots*.

    Raises `Fatal` for a runtime that the engine does not have.
    """
    if wanted.runtime is not None and wanted.runtime not in info.get("Runtimes", {}):
        known = ", ".join(sorted(info.get("Runtimes", {})))
        raise Fatal(
            f"IEXEC_WORKER_TASK_RUNTIME is {wanted.runtime}, the engine has {known}: name one of "
            "these, or install it and tell the engine (`runtimes` in daemon.json)"
        )
    memory = _memory(wanted, slots, info)
    return Limits(
        memory=memory,
        swap=memory * wanted.swap_percent // 100 if memory and info.get("SwapLimit") else None,
        cpus=_cpus(wanted, slots, info["NCPU"]) if info.get("CpuCfsQuota") else None,
        pids=wanted.pids if info.get("PidsLimit") else None,
        open_files=wanted.open_files,
        oom_score_adj=wanted.oom_score_adj,
        log_bytes=wanted.log_bytes,
        capabilities=wanted.capabilities,
        runtime=wanted.runtime,
        read_only_root=wanted.read_only_root,
    )


def missing(info: Mapping[str, Any]) -> str:
    """Name what an engine with this *info* cannot keep, for people; empty when it can do all."""
    return ", ".join(_missing(info))


def _missing(info: Mapping[str, Any]) -> Iterator[str]:
    for key, name in _KEPT.items():
        if not info.get(key):
            yield name
    if not any("seccomp" in option for option in info.get("SecurityOptions") or ()):
        yield "system calls (seccomp)"


def _memory(wanted: Sandbox, slots: int, info: Mapping[str, Any]) -> int | None:
    if not wanted.memory_percent or not info.get("MemoryLimit"):
        return None
    share = int(info["MemTotal"]) * wanted.memory_percent // 100 // slots
    return max(share, LEAST_MEMORY)


def _cpus(wanted: Sandbox, slots: int, there: int) -> float | None:
    if wanted.cpus is not None:
        # More than there are is refused by engines.
        return min(max(wanted.cpus, LEAST_CPUS), there) if wanted.cpus else None
    # One is for the engine, which writes what apps print, and for this worker.
    return max(max(there - 1, 1) / slots, LEAST_CPUS)
