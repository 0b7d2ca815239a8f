"""What an app printed, whole: beside its output first, in it once the app has succeeded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from iexec_worker.stages.task import Folder

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

NAMES: Final = ("stdout.txt", "stderr.txt")


@contextmanager
def streams(folder: Folder) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open new files for stdout and stderr where the app cannot reach them."""
    out, err = (folder.output / name for name in NAMES)
    with out.open("wb") as stdout, err.open("wb") as stderr:
        yield stdout, stderr


def keep(folder: Folder) -> None:
    """
    Move what is not empty into `iexec_out`. Blocks.

    A rename replaces a link that the app may have put there, and never follows it.
    """
    for name in NAMES:
        source = folder.output / name
        if source.stat().st_size:
            try:
                source.replace(folder.iexec_out / name)
            except OSError as error:
                log.warning("output of the app not kept", file=name, reason=str(error))
