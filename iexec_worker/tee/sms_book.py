"""Where the SMS of each framework was last: a pool names it once, in its offer of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define, field

from iexec_worker.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.model import TeeFramework

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class SmsBook:
    """
    URLs by framework, in the file *path*.

    For a task whose offer got lost with the life that asked for it: what a pool repeats of it has
    no SMS. A file that cannot be read or written costs such tasks, and nothing else.
    """

    path: Path
    _writing: trio.Lock = field(init=False, factory=trio.Lock)

    async def find(self, framework: TeeFramework) -> str | None:
        """Return where the SMS of *framework* was last, None when that is not known."""
        return (await trio.to_thread.run_sync(self._read)).get(framework.name)

    async def remember(self, framework: TeeFramework, url: str) -> None:
        """Write down that the SMS of *framework* is at *url*."""
        async with self._writing:
            known = await trio.to_thread.run_sync(self._read)
            if known.get(framework.name) != url:
                await trio.to_thread.run_sync(self._write, known | {framework.name: url})

    def _read(self) -> dict[str, str]:
        try:
            found = read_json(self.path)
            return {str(name): str(url) for name, url in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            log.warning("addresses of SMS cannot be read", file=str(self.path), reason=str(error))
            return {}

    def _write(self, document: object) -> None:
        try:
            write_json(self.path, document)
        except OSError as error:
            log.warning("address of an SMS not kept", file=str(self.path), reason=str(error))
