"""Where tests keep what was fetched once for all of them, and `make` with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).parents[1] / ".cache" / "iexec-worker"
