"""Walls that stand while the engine restarts: one of our own, for it is killed."""

from __future__ import annotations

import os
import signal
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool.chaos.dockerd import Dockerd, returning_engine
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.networks.firewall import Firewall
from tests.confined import sandbox
from tests.hostile.attack import Arena, build
from tests.hostile.lab import PRIVATE, PUBLIC, open_lab
from tests.hostile.test_network import place_of, tries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine that may be killed needs root"),
    pytest.mark.timeout(300),
    pytest.mark.hostile,
]


@pytest.fixture
async def dockerd() -> AsyncIterator[Dockerd]:
    # Not in pytest's folders, for mounts may outlive the test.
    with TemporaryDirectory(prefix="iexec-worker-tests-") as folder:
        async with returning_engine(Path(folder), live_restore=True) as dockerd:
            yield dockerd


async def test_an_app_that_outlives_its_engine_keeps_its_walls(
    dockerd: Dockerd, tmp_path: Path
) -> None:
    async with aclosing(Engine(dockerd.host)) as engine, open_lab(tmp_path) as lab:
        arena = Arena(engine, Containers(engine), await build(dockerd.host), tmp_path)
        box = sandbox(engine, NETWORK="public")
        await box.prepare()
        # Neighbours before and after the engine's death, and again for an app that starts then.
        wait = "while [ ! -e /iexec_in/go ]; do sleep 0.1; done; "
        addresses = [PUBLIC, *PRIVATE.values()]
        async with arena.running(box, wait + tries(addresses)) as container:
            found = await arena.containers.find(container)
            assert dockerd.daemon is not None
            await dockerd.daemon.restart(signal.SIGKILL)
            await box.prepare()
            assert found is not None
            (tmp_path / found.name / "input" / "go").touch()
            before = await arena.over(box, container)
        after = await arena.attack(box, tries(addresses))
        place = await place_of(arena)
        await box.close()

        assert before.said == after.said == [f"reached {PUBLIC}", "done"]
        assert lab.reached == {PUBLIC}
        assert not place.is_here
        assert place.rules.chain not in await (await Firewall.find()).listing()
