"""Removing what strangers' apps left, however deep they nested it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove(folder: Path) -> None:
    """Remove *folder* with all in it; what cannot be removed, or is not there, is left. Blocks."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        # A thousand folders in one another are too deep for Python's removal, not for rm's.
        command, clean = ("rm", "-rf", "--", str(folder)), {"PATH": os.defpath}
        subprocess.run(command, check=False, capture_output=True, env=clean)  # noqa: S603 - the folder is ours
