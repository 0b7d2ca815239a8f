"""Services that live and end as they are told."""

from __future__ import annotations

from typing import Final

import trio

from iexec_worker.supervise import Backoff

QUICK: Final = Backoff(first=0.5, limit=8)


class Scripted:
    """A service that ends each of its lives as told: an error after some seconds, or a return."""

    def __init__(self, *lives: tuple[float, Exception | None]) -> None:
        self.lives = list(lives)
        self.starts: list[float] = []

    async def __call__(self, *, task_status: trio.TaskStatus[str]) -> None:
        self.starts.append(trio.current_time())
        task_status.started("ready")
        if len(self.starts) > len(self.lives):
            await trio.sleep_forever()
        seconds, error = self.lives[len(self.starts) - 1]
        await trio.sleep(seconds)
        if error is not None:
            raise error
