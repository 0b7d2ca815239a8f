"""A node agent for iExec workerpools, on Trio."""

from typing import Final

__version__: Final = "0.1.0"

#: The worker protocol this package speaks, as a pool's `requiredWorkerVersion` names it.
PROTOCOL_FIRST: Final = (8, 6)
PROTOCOL_LAST: Final = (9, 2)
