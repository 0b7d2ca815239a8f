"""Containers of a real engine, from start to removal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.engine.containers import Containers
from iexec_worker.errors import EngineRefused
from iexec_worker.model import ComputeLogs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.spec import ContainerSpec

    Spec = Callable[..., ContainerSpec]

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SOON = 5.0


async def outcome_of(containers: Containers, spec: ContainerSpec) -> tuple[int, ComputeLogs]:
    with trio.fail_after(20):
        async with containers.running(spec) as container:
            end = await containers.wait(container, limit=10)
            return end.exit_code, await containers.logs(container)


async def test_an_app_runs_and_nothing_is_left_of_it(containers: Containers, spec: Spec) -> None:
    one = spec("sh", "-c", "echo out; echo err >&2; exit 3")

    assert await outcome_of(containers, one) == (3, ComputeLogs("out\n", "err\n"))
    assert await containers.find(one.name) is None


@pytest.mark.parametrize("command", [None, ()])
async def test_without_a_command_the_image_has_its_own(
    containers: Containers, spec: Spec, command: tuple[str, ...] | None
) -> None:
    one = spec(command=command)

    assert await outcome_of(containers, one) == (0, ComputeLogs("from the image\n", ""))


async def test_an_entrypoint_is_put_before_the_command(containers: Containers, spec: Spec) -> None:
    one = spec("a  b", "c", entrypoint=("/bin/echo", "-n"))

    assert (await outcome_of(containers, one))[1].stdout == "a  b c"


async def test_the_app_sees_its_environment_and_folders(
    containers: Containers, spec: Spec, tmp_path: Path
) -> None:
    (tmp_path / "asked").write_text("what?")
    script = "cat /iexec_in/asked && echo -n $IEXEC_TASK_ID > /iexec_in/answered"
    one = spec(
        "sh", "-c", script, env={"IEXEC_TASK_ID": "0x01"}, binds={str(tmp_path): "/iexec_in"}
    )

    assert await outcome_of(containers, one) == (0, ComputeLogs("what?", ""))
    assert (tmp_path / "answered").read_text() == "0x01"


async def test_a_folder_that_is_missing_is_not_made(
    containers: Containers, spec: Spec, tmp_path: Path
) -> None:
    with pytest.raises(EngineRefused, match="does not exist"):
        await containers.start(
            spec("busybox", "true", binds={str(tmp_path / "missing"): "/iexec_in"})
        )

    assert not (tmp_path / "missing").exists()


async def test_a_command_that_cannot_run_is_told_and_leaves_nothing(
    containers: Containers, spec: Spec
) -> None:
    one = spec("/bin/nothing-like-this")

    with pytest.raises(EngineRefused, match=r"cannot start: .*no such file or directory"):
        await containers.start(one)

    assert await containers.find(one.name) is None


async def test_an_image_that_is_missing_is_told(containers: Containers, spec: Spec) -> None:
    with pytest.raises(EngineRefused, match="No such image"):
        await containers.start(spec(image="iexec-worker-tests/missing:1"))


async def test_gpus_are_really_asked_for(containers: Containers, spec: Spec) -> None:
    one = spec("busybox", "true", gpus=True)
    try:
        async with containers.running(one):
            pass
    except EngineRefused as error:
        # An engine without GPUs says what it was asked for.
        assert "gpu" in str(error)  # noqa: PT017  # with GPUs it does not fail


async def test_the_time_limit_kills_at_once(containers: Containers, spec: Spec) -> None:
    # It has no handler for SIGTERM, so that a polite stop would take ten seconds.
    async with containers.running(spec("sleep", "60")) as container:
        started = trio.current_time()
        end = await containers.wait(container, limit=0.5)
        took = trio.current_time() - started

    assert (end.timed_out, end.exit_code) == (True, -1)
    assert end.duration >= 400
    assert took < 0.5 + 2


async def test_cancellation_removes_the_container_within_two_seconds(
    containers: Containers, spec: Spec
) -> None:
    one = spec("sleep", "60")
    up = trio.Event()

    async def compute() -> None:
        async with containers.running(one) as container:
            up.set()
            await containers.wait(container, limit=60)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(compute)
        await up.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        cancelled = trio.current_time()
        nursery.cancel_scope.cancel()

    assert trio.current_time() - cancelled < 2
    assert await containers.find(one.name) is None


async def test_a_start_cancelled_anywhere_leaves_nothing(
    containers: Containers, spec: Spec
) -> None:
    for delay in (0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32):
        one = spec("sleep", "60")
        with trio.move_on_after(delay):
            async with containers.running(one):
                await trio.sleep_forever()

        assert await containers.find(one.name) is None


async def test_an_end_is_known_when_the_engine_knows_it(
    engine: Engine, containers: Containers, spec: Spec
) -> None:
    known: dict[str, float] = {}

    async def observer(container: str) -> None:
        await engine.stream(lambda api: api.wait(container))
        known["by the engine"] = time.monotonic()

    async with (
        containers.running(spec("sleep", "0.5")) as container,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(observer, container)
        await containers.wait(container, limit=60)
        known["by us"] = time.monotonic()

    assert known["by us"] - known["by the engine"] < 0.05


async def test_an_end_before_the_wait_is_not_missed(containers: Containers, spec: Spec) -> None:
    async with containers.running(spec("busybox", "true")) as container:
        await containers.wait(container, limit=SOON)
        with trio.fail_after(SOON):
            end = await containers.wait(container, limit=SOON)

    assert (end.exit_code, end.timed_out) == (0, False)
    assert end.started_at > time.time() - 60
    # Such an app may be over before the engine writes down that it started.
    assert end.duration >= 0


async def test_a_container_of_the_same_name_makes_room(containers: Containers, spec: Spec) -> None:
    old = spec("sleep", "60")
    first = await containers.start(old)

    async with containers.running(old) as second:
        found = await containers.find(old.name)
        assert found is not None
        assert found.id == second != first


async def test_a_running_container_is_found_and_awaited_again(
    engine: Engine, containers: Containers, spec: Spec
) -> None:
    one = spec("sh", "-c", "echo before; sleep 0.5; exit 4", labels={"iexec-worker.task": "0x1"})
    await containers.start(one)

    again = Containers(engine)
    async with again.held(one.name):
        found = await again.find(one.name)
        assert found is not None
        assert found.running
        assert found.labels == {"iexec-worker.task": "0x1"}
        assert abs(time.time() - found.started_at) < 30
        end = await again.wait(one.name, limit=SOON)
        assert end.exit_code == 4
        stopped = await again.find(one.name)
        assert stopped is not None
        assert not stopped.running
        assert (await again.logs(one.name)).stdout == "before\n"

    assert await again.find(one.name) is None


async def test_the_time_limit_goes_on_where_a_worker_comes_back(
    containers: Containers, spec: Spec
) -> None:
    async with containers.running(spec("sleep", "60")) as container:
        with trio.move_on_after(2.5):
            await containers.wait(container, limit=3)
        end = await containers.wait(container, limit=3)

    assert end.timed_out
    # Counted anew it would be 5.5 s at the least.
    assert end.duration < 5000


async def test_containers_are_listed_by_all_their_labels(
    containers: Containers, spec: Spec
) -> None:
    wallet = {"iexec-worker.wallet": spec().name}
    mine = spec("busybox", "true", labels=wallet | {"iexec-worker.task": "0x1"})
    other = spec("busybox", "true", labels=wallet | {"iexec-worker.task": "0x2"})
    async with containers.running(mine), containers.running(other):
        by_wallet = await containers.list_ours(wallet)
        by_task = await containers.list_ours(mine.labels)

    assert {found.name for found in by_wallet} == {mine.name, other.name}
    assert [found.name for found in by_task] == [mine.name]


async def test_removing_and_stopping_what_is_not_there_is_fine(containers: Containers) -> None:
    await containers.remove("tests-nobody")
    await containers.stop("tests-nobody")


async def test_many_removals_of_one_container_agree(containers: Containers, spec: Spec) -> None:
    one = spec("sleep", "60")
    await containers.start(one)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(containers.remove, one.name)

    assert await containers.find(one.name) is None


async def test_a_removal_that_fails_is_logged_and_hides_nothing(
    gone: Engine, log_events: list[dict[str, Any]]
) -> None:
    with pytest.raises(KeyError):
        async with Containers(gone).held("tests-nobody"):
            raise KeyError

    assert [event["event"] for event in log_events] == ["container not removed"]


async def test_an_app_cannot_fork_without_end(containers: Containers, spec: Spec) -> None:
    limit = "cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"

    code, logs = await outcome_of(containers, spec("sh", "-c", limit))

    assert (code, logs.stdout) == (0, "4096\n")
