from __future__ import annotations

from pathlib import Path

from iexec_worker.devpool.chaos.post import Life
from iexec_worker.devpool.chaos.recovery import of_worker
from iexec_worker.devpool.http.record import Told
from iexec_worker.wire import Status


def told(at: float, status: Status, *, task: str = "0x77", wallet: str = "0x01") -> Told:
    return Told(task, wallet, status, {}, 200, None, at)


def life(ended: float, ordered: str = "SIGKILL") -> Life:
    return Life(Path("log"), ordered=ordered, ended=ended)


def seconds(lives: list[Life], *updates: Told) -> list[float]:
    return list(of_worker(lives, "0x01", updates))


def test_a_recovery_lasts_from_the_kill_to_the_next_status() -> None:
    updates = (
        told(1, Status.COMPUTED),
        told(14, Status.CONTRIBUTING),
        told(15, Status.CONTRIBUTED),
    )

    assert seconds([life(10)], *updates) == [4]


def test_a_worker_that_waited_for_others_had_nothing_to_tell() -> None:
    assert seconds([life(10)], told(1, Status.CONTRIBUTED), told(14, Status.REVEALING)) == []


def test_a_new_task_is_no_recovery() -> None:
    updates = (told(1, Status.COMPUTED), told(14, Status.STARTING, task="0x88"))

    assert seconds([life(10)], *updates) == []


def test_another_worker_is_not_meant() -> None:
    updates = (told(1, Status.COMPUTED), told(12, Status.CONTRIBUTING, wallet="0x02"))

    assert seconds([life(10)], *updates) == []


def test_only_kills_count() -> None:
    updates = (told(1, Status.COMPUTED), told(14, Status.CONTRIBUTING))

    assert seconds([life(10, "SIGTERM"), life(11, "")], *updates) == []
