"""The container that this worker is itself in, when its engine is the one that runs it."""

from __future__ import annotations

import re
import socket
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import frozen
from docker.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from docker import APIClient

    from iexec_worker.engine.client import Engine

#: Engines mount files of a container's own, such as its host name, from a folder named by its id.
MOUNTS: Final = Path("/proc/self/mountinfo")
_FOLDER: Final = re.compile(r"/containers/([0-9a-f]{64})/")

#: What a container's host name is, unless its operator gave it another.
_SHORT: Final = re.compile(r"[0-9a-f]{12}")


@frozen
class OwnContainer:
    """*mounts*: paths in it, and where they are on the engine's host."""

    id: str
    mounts: Mapping[PurePath, PurePath]

    def on_host(self, path: Path) -> Path:
        """Return where the engine finds what is at *path* in here; elsewhere it is the same."""
        holding = [inside for inside in self.mounts if path.is_relative_to(inside)]
        if not holding:
            return path
        nearest = max(holding, key=lambda inside: len(inside.parts))
        return Path(self.mounts[nearest], path.relative_to(nearest))


async def own_container(engine: Engine, *, mounts: Path = MOUNTS) -> OwnContainer | None:
    """
    Find the container of *engine* that this process is in; None: it is in none of its.

    It may be in one of another engine, as a worker is whose engine runs beside it in there.
    """
    hints = await trio.to_thread.run_sync(_hints, mounts)
    return await engine.call(partial(_find, hints=hints))


def on_host(own: OwnContainer | None, path: Path) -> Path:
    """Return where the engine finds what this process has at *path*."""
    return own.on_host(path) if own else path


def _hints(mounts: Path) -> list[str]:
    """Whatever may be our id, or its beginning."""
    found = set(_FOLDER.findall(mounts.read_text(errors="replace")) if mounts.exists() else ())
    name = socket.gethostname()
    return [*found, *([name] if _SHORT.fullmatch(name) else [])]


def _find(api: APIClient, hints: Iterable[str]) -> OwnContainer | None:
    for hint in hints:
        try:
            inspected: dict[str, Any] = api.inspect_container(hint)
        except NotFound:
            continue
        # The engine looks for names as well.
        if inspected["Id"].startswith(hint) and inspected["State"]["Running"]:
            mounts = inspected.get("Mounts") or ()
            return OwnContainer(
                inspected["Id"],
                {PurePath(m["Destination"]): PurePath(m["Source"]) for m in mounts},
            )
    return None
