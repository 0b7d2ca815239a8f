"""Labels of our containers and networks: each bears whose it is, and what it is for."""

from typing import Final

#: Whose it is: tells ours from those of another worker on the same engine.
WALLET: Final = "com.iexec.worker.wallet"
#: The one task that it is for.
TASK: Final = "com.iexec.worker.task"
#: The service that it is for all tasks.
SERVICE: Final = "com.iexec.worker.service"
#: What a network is for.
NETWORK: Final = "com.iexec.worker.network"
