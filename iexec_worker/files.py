"""Files of the worker's own: small documents, written whole; folders that go. All of it blocks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever is in it
    """Read the document at *path*. Raises `OSError`, and `ValueError` for what is no JSON."""
    try:
        return json.loads(path.read_text())
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def write_json(path: Path, document: object) -> None:
    """
    Put *document* in the place of what is at *path*, whole or not at all. Raises `OSError`.

    It need not survive a power cut: what must is in a journal.
    """
    new = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(json.dumps(document))
    new.replace(path)


def remove(folder: Path) -> None:
    """Remove *folder* with all in it; what cannot be removed, or is not there, is left."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        # A thousand folders in one another are too deep for Python's removal, not for rm's.
        command, clean = ("rm", "-rf", "--", str(folder)), {"PATH": os.defpath}
        subprocess.run(command, check=False, capture_output=True, env=clean)  # noqa: S603 - the folder is ours
