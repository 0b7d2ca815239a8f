"""What an earlier life left is removed at the start; what others have on engine and disk is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import docker
import trio

from iexec_worker.engine import labels
from tests.looking import until

if TYPE_CHECKING:
    from tests.integration.hired import Agency

ORPHAN: Final = "0x" + 64 * "a"
FOLDER: Final = "0x" + 64 * "b"
STRANGER: Final = "0x" + 40 * "7"


async def test_a_start_removes_orphans_of_ours_and_nothing_else(
    agency: Agency, engine_url: str, app_image: str
) -> None:
    place = await agency.place(1, {})
    client = docker.DockerClient(base_url=engine_url, timeout=20)
    planted = {
        "orphan": {labels.WALLET: place.wallet.address, labels.TASK: ORPHAN},
        "stranger": {labels.WALLET: STRANGER, labels.TASK: ORPHAN},
        "unlabelled": {},
    }

    def there() -> set[str]:
        found = client.containers.list(all=True, filters={"name": f"^/{place.name}-"})
        return {str(container.name).removeprefix(f"{place.name}-") for container in found}

    async def gone() -> bool:
        # The chain is asked about a folder before it goes: what it held may have been lost.
        left = FOLDER in place.task_folders()
        return not left and "orphan" not in await trio.to_thread.run_sync(there)

    try:
        for name, own in planted.items():
            client.containers.run(
                app_image, "sleep=600", name=f"{place.name}-{name}", labels=own, detach=True
            )
        for folder in (FOLDER, "not-a-task"):
            (place.tasks / folder / "output").mkdir(parents=True)
        await agency.start(again=place)
        await until(gone, limit=60)
        assert place.task_folders() == {"not-a-task"}
        assert there() == {"stranger", "unlabelled"}
    finally:
        for container in client.containers.list(all=True, filters={"name": f"^/{place.name}-"}):
            container.remove(force=True)
        client.close()
        (place.tasks / "not-a-task" / "output").rmdir()
        (place.tasks / "not-a-task").rmdir()
