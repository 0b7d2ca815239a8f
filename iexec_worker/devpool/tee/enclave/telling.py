"""What a part says on its way, and how it says that it failed."""

from __future__ import annotations

import sys


class Failed(Exception):
    """Raised when a part has to tell *causes*, as the protocol names them."""

    def __init__(self, *causes: str, reason: str = "") -> None:
        super().__init__(f"{', '.join(causes)}: {reason}" if reason else ", ".join(causes))
        self.causes = causes


def say(line: str) -> None:
    """Print *line* now: a container may be stopped at any time."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
