"""What an app can do to its host from its container: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.engine.limits import limits
from tests.hostile.attack import NOBODY

if TYPE_CHECKING:
    from tests.hostile.attack import Arena

#: What an app's root user keeps, as the kernel's bits: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL,
#: SETGID, SETUID, NET_BIND_SERVICE.
KEPT: Final = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 10))


#: Where the kernel shows the limits of a control group, in the new form and in the old one.
UNIFIED: Final = ("memory.max", "memory.swap.max", "cpu.max")
OLD: Final = (
    "memory/memory.limit_in_bytes",
    "memory/memory.memsw.limit_in_bytes",
    "cpu/cpu.cfs_quota_us",
)


async def status(arena: Arena, *, image: str = "", **variables: str) -> dict[str, str]:
    """The app's own `/proc/self/status`."""
    box = arena.sandbox(**variables)
    found = await arena.attack(box, "cat /proc/self/status", image=image)
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in found.said}


async def test_an_app_has_few_capabilities_and_cannot_get_more(arena: Arena) -> None:
    found = await status(arena)

    assert int(found["CapBnd"], 16) == int(found["CapEff"], 16) == KEPT
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2", "the engine's filter of system calls is kept"


async def test_an_operator_may_leave_it_none(arena: Arena) -> None:
    assert int((await status(arena, CAPABILITIES="none"))["CapBnd"], 16) == 0


async def test_a_setuid_program_makes_nobody_root(arena: Arena) -> None:
    # busybox says so itself when it is not root in spite of its setuid bit.
    script = "id -u; ls -l /suid/busybox; /suid/busybox su -c id"
    found = await arena.attack(arena.sandbox(), script, image=arena.app.nobodys)

    assert found.said[0] == str(NOBODY)
    assert found.said[1].startswith("-rwsr-xr-x")
    assert "must be suid" in found.said[-1]


@pytest.mark.parametrize(
    ("attack", "refused"),
    [
        ("arping -c 1 -w 1 -I lo 127.0.0.1", "Operation not permitted"),
        ("traceroute -I 127.0.0.1", "Operation not permitted"),
        ("mknod /tmp/sda b 8 0", "Operation not permitted"),
        ("mount -t tmpfs none /tmp", "permission denied"),
        ("chroot / true", "Operation not permitted"),
        ("echo 0 > /proc/sys/kernel/core_pattern", "Read-only file system"),
        ("dmesg", "Operation not permitted"),
        ("unshare -Ur true", "Operation not permitted"),
        ("hostname canary", "Operation not permitted"),
        ("ip link set lo down", "Operation not permitted"),
        ("date -s 2001-01-01", "Operation not permitted"),
    ],
)
async def test_the_kernel_says_no(arena: Arena, attack: str, refused: str) -> None:
    found = await arena.attack(arena.sandbox(), attack)

    assert any(refused.lower() in line.lower() for line in found.said), found.said


async def test_apps_share_no_memory_with_others(arena: Arena) -> None:
    async with arena.running(arena.sandbox(), "readlink /proc/self/ns/ipc; sleep 60") as other:
        found = await arena.attack(arena.sandbox(), "readlink /proc/self/ns/ipc")
        printed = await arena.containers.logs(other)

    assert printed.stdout.splitlines() != found.said


async def test_the_engine_is_told_all_limits(arena: Arena) -> None:
    box = arena.sandbox(2, OPEN_FILES="1,024", PIDS="77", OOM_SCORE_ADJ="777")
    script = "ulimit -n; ulimit -c; cat /proc/self/oom_score_adj"
    found = await arena.attack(box, script)

    assert found.said == ["1024", "0", "777"]


async def test_the_kernel_keeps_memory_swap_and_processor_of_a_slot(arena: Arena) -> None:
    box = arena.sandbox(2)
    unified = await trio.Path("/sys/fs/cgroup/cgroup.controllers").exists()
    names = UNIFIED if unified else OLD
    found = await arena.attack(box, f"cd /sys/fs/cgroup; cat {' '.join(names)}")
    share = limits(box.wanted, 2, await arena.engine.call(lambda api: api.info()))

    assert share.memory
    assert share.swap is not None
    assert share.cpus
    memory, swap, quota = (int(line.split()[0]) for line in found.said)
    both = share.memory + share.swap
    # In pages, and in periods of a tenth of a second.
    assert memory == pytest.approx(share.memory, abs=65_536)
    assert swap == pytest.approx(share.swap if unified else both, abs=65_536)
    assert quota == pytest.approx(share.cpus * 100_000, abs=100)


async def test_a_limit_that_the_engine_cannot_give_is_left_out_and_told_once(
    arena: Arena, log_events: list[dict[str, object]]
) -> None:
    box = arena.sandbox(OPEN_FILES="1,048,576")
    said: list[list[str]] = []

    async def start() -> None:
        said.append((await arena.attack(box, "ulimit -n")).said)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        nursery.start_soon(start)
    await start()

    first, *others = said
    assert others == [first, first]
    warned = [event for event in log_events if "so many open files" in str(event["event"])]
    assert len(warned) == (first != ["1048576"])


async def test_a_read_only_root_leaves_the_output_and_a_place_for_temporary_files(
    arena: Arena,
) -> None:
    script = "touch /tmp/yes /iexec_out/yes && touch /no"
    found = await arena.attack(arena.sandbox(READ_ONLY_ROOT="true"), script)

    assert found.end.exit_code != 0
    assert found.said == ["touch: /no: Read-only file system"]


async def test_any_runtime_of_the_engines_may_be_chosen(arena: Arena) -> None:
    found = await arena.attack(arena.sandbox(RUNTIME="runc"), "echo here")

    assert found.said == ["here"]
