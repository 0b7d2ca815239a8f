"""
Files that containers left and this process may not touch.

Apps usually run as root, a worker should not: what an app makes in a bound folder may be closed to
the worker, and could be neither read nor removed. The engine may touch everything. It is asked to
unpack an archive over the folder, for that gives folders that are there already, and files that
the archive links to, the owner that the archive says. No program runs for it: the image may have
no shell.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio
from attrs import frozen

from iexec_worker.engine.spec import create_request
from iexec_worker.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from docker import APIClient

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Files in one archive: a few MB of it, whatever the app left.
_BATCH: Final = 10_000

_MOUNT: Final = "/folder"
_LINKS: Final = ".taken-over"


@frozen
class Closed:
    """A folder or a regular file that this process may not use; *path* below the folder."""

    path: str
    is_folder: bool


async def take_over(containers: Containers, spec: ContainerSpec, folder: Path) -> None:
    """
    Make everything below *folder*, which is ours, ours as well, as far as it is closed to us.

    *spec* is of the container that wrote there and has ended: another of its image is made, and
    never started. Nothing is asked of the engine when nothing is closed, as for a worker that is
    root. Raises `EngineRefused`, `Unavailable`, `OSError`.
    """
    closed = await trio.to_thread.run_sync(find_closed, folder)
    if not closed:
        return
    log.debug("taking files over", folder=str(folder), number=len(closed))
    holder = attrs.evolve(
        spec,
        name=f"{spec.name}-files",
        command=("never", "started"),
        binds={str(folder): _MOUNT},
        network="none",
        extra_hosts={},
        gpus=False,
        devices=(),
    )
    await containers.remove(holder.name)
    async with containers.held(holder.name):
        await containers.engine.call(partial(_create, spec=holder))
        while closed:
            # Folders that were closed may hold more of them.
            await containers.engine.call(
                partial(_unpack, name=holder.name, archive=archive(closed))
            )
            await trio.to_thread.run_sync(shutil.rmtree, folder / _LINKS, True)
            before, closed = closed, await trio.to_thread.run_sync(find_closed, folder)
            if closed == before:
                raise EngineRefused(
                    f"files below {folder} stay closed to user {os.geteuid()}, {closed[0].path!r} "
                    "among them: run the worker as root"
                )


def find_closed(folder: Path) -> list[Closed]:
    """
    List what is closed to us below *folder*, not more than one archive takes.

    Blocks; must run in a thread of Trio's. Links are not followed.
    """
    return list(islice(_closed(folder), _BATCH))


def archive(closed: Iterable[Closed]) -> bytes:
    """Return the archive that makes *closed* ours when it is unpacked over their folder."""
    packed = io.BytesIO()
    # Names are bytes to the system: this form takes any.
    with tarfile.open(
        fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape"
    ) as tar:
        tar.addfile(_entry(_LINKS))
        for number, one in enumerate(closed):
            entry = _entry(one.path if one.is_folder else f"{_LINKS}/{number}")
            if not one.is_folder:
                entry.type, entry.linkname = tarfile.LNKTYPE, one.path
            tar.addfile(entry)
    return packed.getvalue()


def _entry(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o700
    entry.uid, entry.gid = os.geteuid(), os.getegid()
    return entry


def _closed(folder: Path) -> Iterator[Closed]:
    pending = [""]
    while pending:
        trio.from_thread.check_cancelled()
        here = pending.pop()
        path = folder / here
        if here and not _may(path, os.R_OK | os.W_OK | os.X_OK):
            yield Closed(here, is_folder=True)
        if not _may(path, os.R_OK):
            continue
        with os.scandir(path) as children:
            for child in children:
                name = os.path.join(here, child.name)  # noqa: PTH118 - "" and odd names stay as they are
                if child.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif child.is_file(follow_symlinks=False) and not _may(child.path, os.R_OK):
                    yield Closed(name, is_folder=False)


def _may(path: str | Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def _create(api: APIClient, spec: ContainerSpec) -> None:
    api.create_container(**create_request(api, spec))


def _unpack(api: APIClient, name: str, archive: bytes) -> None:
    api.put_archive(name, _MOUNT, archive)
