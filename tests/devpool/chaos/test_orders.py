from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool import images
from iexec_worker.devpool.chaos.options import ChaosOptions
from iexec_worker.devpool.chaos.orders import Order, make_orders

if TYPE_CHECKING:
    from pathlib import Path


def options(folder: Path, seed: int = 1, workers: int = 4) -> ChaosOptions:
    return ChaosOptions(
        folder=folder, cache=folder, seed=seed, duration=100, faults=1, workers=workers, tasks=50
    )


def test_orders_follow_from_the_seed(tmp_path: Path) -> None:
    assert make_orders(options(tmp_path)) == make_orders(options(tmp_path))
    assert make_orders(options(tmp_path)) != make_orders(options(tmp_path, seed=2))


def test_some_orders_take_two_workers_that_agree(tmp_path: Path) -> None:
    assert {order.trust for order in make_orders(options(tmp_path))} == {1, 3}


def test_one_worker_is_not_asked_to_agree_with_itself(tmp_path: Path) -> None:
    assert {order.trust for order in make_orders(options(tmp_path, workers=1))} == {1}


@pytest.mark.parametrize("number", [0, 17])
def test_the_digest_is_that_of_what_the_app_writes(number: int, tmp_path: Path) -> None:
    order = Order(number, 0.0, 1, 0.1)
    given = {"IEXEC_OUT": str(tmp_path), "IEXEC_TASK_INDEX": "0", "IEXEC_BOT_SIZE": "1"}
    (app,) = (path for path in images.demo_app().files if path.endswith("app.sh"))
    script = tmp_path / "app.sh"
    script.write_bytes(images.demo_app().files[app])

    subprocess.run(["sh", str(script), *order.args.split()], env=given, check=True)

    named = json.loads((tmp_path / "computed.json").read_text())["deterministic-output-path"]
    assert named == str(tmp_path / "result.txt")
    written = (tmp_path / "result.txt").read_bytes()
    assert order.digest == "0x" + hashlib.sha256(written).hexdigest()
