"""What a demo is to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen

from iexec_worker.devpool.options import worker_names
from iexec_worker.model import TeeFramework

#: What the demo's own app is told when nobody says anything else: long enough to be seen.
ARGS: Final = "sleep=2 hello 'big world'"

#: What the demo's own app calls back with: `hello` as bytes.
CALLBACK_ARGS: Final = "sleep=2 callback=0x68656c6c6f"


@frozen
class DemoOptions:
    """
    *image* "": the demo's own app. *engine* None: the default socket. *tee* None: standard
    tasks, else a framework's name.

    *folder* gets logs and results, *cache* the downloads; *inherited* is the environment of this
    process, of which workers get what no program can do without.
    """

    folder: Path
    cache: Path
    tasks: int = 1
    workers: int = 1
    trust: int = 1
    image: str = ""
    args: str = ""
    dataset: Path | None = None
    input_files: tuple[str, ...] = ()
    callback: bool = False
    tee: str | None = None
    engine: str | None = None
    inherited: Mapping[str, str] = field(factory=dict, repr=False)

    @property
    def framework(self) -> TeeFramework | None:
        """The framework of the tasks."""
        return TeeFramework[self.tee.upper()] if self.tee else None

    @property
    def names(self) -> tuple[str, ...]:
        """What the workers are called."""
        return worker_names(self.workers)

    @property
    def app_args(self) -> str:
        """What the app is told."""
        if self.args or self.image:
            return self.args
        return CALLBACK_ARGS if self.callback else ARGS


def workers_for(trust: int) -> int:
    """
    How many newcomers have to agree for a task with *trust*.

    The contracts give each a weight of 2, multiply the weights of those who agree (g), and want
    g · trust > (1 + g) · (trust − 1), that is g ≥ trust.
    """
    return max(1, (trust - 1).bit_length())
