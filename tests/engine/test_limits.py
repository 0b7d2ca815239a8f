from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from iexec_worker.config import load
from iexec_worker.engine.limits import LEAST_MEMORY, Limits, limits, missing
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from iexec_worker.config import Sandbox

GB: Final = 1024**3

#: Of an engine that can do everything.
INFO: Final[dict[str, Any]] = {
    "MemTotal": 16 * GB,
    "NCPU": 8,
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "Runtimes": {"runc": {}, "runsc": {}},
    "SecurityOptions": ["name=seccomp,profile=default"],
}


def wanted(**variables: str) -> Sandbox:
    given = {f"IEXEC_WORKER_TASK_{name}": text for name, text in variables.items()}
    return load({"POOL_ADDRESS": "0x" + 40 * "a"} | given, cpu_count=8).config.sandbox


def test_slots_share_the_memory_and_the_processors_but_one() -> None:
    found = limits(wanted(), 7, INFO)

    assert found.memory == 16 * GB * 80 // 100 // 7
    assert (found.swap, found.cpus) == (0, 1.0)


@pytest.mark.parametrize(("slots", "cpus"), [(1, 7.0), (2, 3.5), (14, 0.5)])
def test_other_numbers_of_slots_share_the_same(slots: int, cpus: float) -> None:
    assert limits(wanted(), slots, INFO).cpus == cpus


def test_the_operator_decides() -> None:
    found = limits(
        wanted(
            MEMORY_PERCENT="50",
            SWAP_PERCENT="100",
            CPUS="2.5",
            CAPABILITIES="cap_sys_ptrace, kill",
            RUNTIME="runsc",
        ),
        1,
        INFO,
    )

    assert (found.memory, found.swap, found.cpus) == (8 * GB, 8 * GB, 2.5)
    assert (found.capabilities, found.runtime) == (("SYS_PTRACE", "KILL"), "runsc")


def test_zero_is_no_limit_and_none_no_capability() -> None:
    found = limits(wanted(MEMORY_PERCENT="0", CPUS="0", CAPABILITIES="none"), 1, INFO)

    assert found.memory is found.swap is found.cpus is None
    assert found.capabilities == ()


def test_what_engines_would_refuse_is_not_asked_for() -> None:
    found = limits(wanted(MEMORY_PERCENT="1", CPUS="64"), 1000, INFO)

    assert (found.memory, found.cpus) == (LEAST_MEMORY, 8)


def test_what_the_engine_cannot_do_is_left_out_and_told() -> None:
    poor = {key: value for key, value in INFO.items() if not isinstance(value, bool)}
    found = limits(wanted(), 1, poor)

    assert (found.memory, found.swap, found.cpus, found.pids) == (None, None, None, None)
    assert missing(poor) == "memory, swap, processors, processes"
    assert missing(INFO | {"SecurityOptions": None}) == "system calls (seccomp)"
    assert missing(INFO) == ""


def test_memory_is_limited_without_swap_accounting() -> None:
    found = limits(wanted(), 1, INFO | {"SwapLimit": False})

    assert (found.memory, found.swap) == (16 * GB * 80 // 100, None)


def test_a_runtime_that_the_engine_does_not_have_ends_the_worker() -> None:
    with pytest.raises(Fatal, match=r"RUNTIME is kata, the engine has runc, runsc"):
        limits(wanted(RUNTIME="kata"), 1, INFO)


def test_a_container_of_ours_has_no_capability_by_itself() -> None:
    assert Limits().capabilities == ()
