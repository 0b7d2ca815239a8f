"""Where the SMS of each framework was last: a pool names it once, in its offer of a task."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define, field

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
                text = json.dumps(known | {framework.name: url})
                await trio.to_thread.run_sync(self._write, text)

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self.path.read_text())
            return {str(name): str(url) for name, url in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            log.warning("addresses of SMS cannot be read", file=str(self.path), reason=str(error))
            return {}

    def _write(self, text: str) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text)
            os.replace(new, self.path)  # noqa: PTH105 - `Path.replace` says the same, less known to be atomic
        except OSError as error:
            log.warning("address of an SMS not kept", file=str(self.path), reason=str(error))
