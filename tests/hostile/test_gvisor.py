"""Apps in gVisor, a runtime that the operator chose: on an engine of our own, which knows it."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pytest

from iexec_worker.devpool.child import child
from iexec_worker.devpool.engine import START, STOP, answers, clear, prepared
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from tests.hostile.attack import Arena, build

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine of our own needs root"),
    pytest.mark.skipif(
        shutil.which("runsc") is None,
        reason="runsc is not installed; `make hostile` installs it where Debian has it",
    ),
    pytest.mark.timeout(180),
    pytest.mark.hostile,
]

#: It has a network stack of its own, which not every machine lets it connect; these apps need none.
WRAPPER: Final = '#!/bin/sh\nexec runsc --network=none "$@"\n'

#: An app uses most of what confines it, and all of gVisor's way to the output folder.
SCRIPT: Final = """
dmesg; id -u; ulimit -n; printf result > /iexec_out/result; cat /iexec_out/result
"""


@pytest.fixture
async def arena(tmp_path: Path) -> AsyncIterator[Arena]:
    # Not in pytest's folders, for mounts may outlive the test.
    with TemporaryDirectory(prefix="iexec-worker-tests-") as name:
        folder, wrapper = Path(name), Path(name) / "runsc"
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
        options = (f"--add-runtime=runsc={wrapper}",)
        log = folder / "dockerd.log"
        async with prepared(folder / "engine", options=options) as ready:
            try:
                async with (
                    child(ready.command, name="dockerd", log=log, grace=STOP) as dockerd,
                    aclosing(Engine(ready.host)) as engine,
                ):
                    await dockerd.serving(partial(answers, ready.host), limit=START)
                    yield Arena(engine, Containers(engine), await build(ready.host), tmp_path)
                    await clear(ready.host)
            finally:
                end_processes(Path(ready.host.removeprefix("unix://")).parent)


def end_processes(run: Path) -> None:
    """End what gVisor left of the engine in *run*: it does when a start fails."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"runsc" in words[0] and any(bytes(run) in word for word in words):
                os.kill(int(process.name), signal.SIGKILL)


async def test_an_app_in_gvisor_has_its_limits_and_leaves_its_result(arena: Arena) -> None:
    box = arena.sandbox(RUNTIME="runsc", NETWORK="none", OPEN_FILES="1,024")
    found = await arena.attack(box, SCRIPT)

    assert found.end.exit_code == 0, found.said
    assert any("Starting gVisor" in line for line in found.said), found.said
    assert found.said[-3:] == ["0", "1024", "result"]
    (result,) = arena.folder.glob("*/output/result")
    assert result.read_bytes() == b"result"
