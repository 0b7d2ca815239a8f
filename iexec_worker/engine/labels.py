"""Labels that every container of a task bears; those that tasks share have no task."""

from typing import Final

#: Whose it is: tells ours from those of another worker on the same engine.
WALLET: Final = "com.iexec.worker.wallet"
TASK: Final = "com.iexec.worker.task"
