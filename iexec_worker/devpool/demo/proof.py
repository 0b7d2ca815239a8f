"""What the chain says of every task, and whether the result on disk is the one it speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio
from attrs import frozen
from eth_utils.crypto import keccak

from iexec_worker.devpool.chain.receiver import received
from iexec_worker.devpool.demo.progress import blame
from iexec_worker.devpool.results.digest import BadArchive, digest
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, TaskStatus

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.demo.deal import Deal
    from iexec_worker.devpool.demo.scene import Scene


@frozen
class Proof:
    """
    One task as it ended. *status* and *onchain* (the digest) are read from the chain.

    *recomputed* is the digest of what was delivered: of *archive*, or, for a task with a callback,
    of what its contract was called with (*called*, hex). *problem* is empty when all is well.
    """

    number: int
    task_id: str
    status: str
    onchain: str
    recomputed: str
    archive: Path | None
    called: str
    exit_code: int | None
    output: str
    problem: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**attrs.asdict(self), "archive": str(self.archive) if self.archive else None}


async def prove(scene: Scene, deal: Deal) -> list[Proof]:
    """Look at every task of *deal*; archives are put where people find them."""
    return [await _prove(scene, deal, number) for number in range(len(deal.task_ids))]


async def _prove(scene: Scene, deal: Deal, number: int) -> Proof:
    task_id = deal.task_ids[number]
    task = await scene.pool.chain.task(task_id)
    status = task.status if task else TaskStatus.UNSET
    onchain = task.result_digest if task else ""
    archive, called = None, None
    if deal.receiver != ZERO_ADDRESS:
        called = await received(scene.pool.node.rpc, deal.receiver, task_id)
        recomputed = "" if called is None else "0x" + keccak(called).hex()
    else:
        archive = await _archive(scene, number, task_id)
        recomputed = await _digest(archive)
    return Proof(
        number=number,
        task_id=task_id,
        status=status.name,
        onchain="" if onchain == ZERO_HASH else onchain,
        recomputed=recomputed,
        archive=archive,
        called="" if called is None else "0x" + called.hex(),
        exit_code=_exit_code(scene, task_id),
        output=_output(scene, task_id),
        problem=_problem(status, onchain, recomputed, blame(scene, task_id)),
    )


def _problem(status: TaskStatus, onchain: str, recomputed: str, blamed: str) -> str:
    if status is not TaskStatus.COMPLETED:
        return blamed or f"the task is {status.name} on the chain"
    if blamed:
        return f"the result only says what went wrong: {blamed}"
    if not recomputed:
        return "the result is not here"
    return "" if recomputed == onchain else "the digest of the result is another than on the chain"


async def _archive(scene: Scene, number: int, task_id: str) -> Path | None:
    """Put the task's archive under a name that people understand; None when there is none."""
    name = scene.pool.results.stored_as.get(task_id)
    if name is None:
        return None
    folder = scene.options.folder / "results"
    await trio.Path(folder).mkdir(exist_ok=True)
    target = folder / f"{number}-{task_id[:10]}.zip"
    await trio.Path(target).write_bytes(await trio.Path(scene.pool.ipfs.path(name)).read_bytes())
    return target


async def _digest(archive: Path | None) -> str:
    if archive is None:
        return ""
    content = await trio.Path(archive).read_bytes()
    try:
        return await trio.to_thread.run_sync(digest, content)
    except BadArchive as error:
        return f"none: {error}"


def _exit_code(scene: Scene, task_id: str) -> int | None:
    """The exit code of the app that a worker told last."""
    codes = [told.details.get("exitCode") for told in scene.pool.record.updates(task_id)]
    return next((code for code in reversed(codes) if isinstance(code, int)), None)


def _output(scene: Scene, task_id: str) -> str:
    """What the app printed, as the pool was told."""
    task = scene.pool.scheduler.store.tasks.get(task_id)
    logs = (replicate.logs for replicate in task.replicates.values()) if task else iter(())
    return next(("".join(pair) for pair in logs if pair), "")
