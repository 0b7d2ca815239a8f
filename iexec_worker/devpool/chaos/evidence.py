"""What chain, pool, engine, disks and logs say when a run is over."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import docker
import trio
from attrs import frozen

from iexec_worker.devpool.chaos.recovery import recoveries
from iexec_worker.devpool.results.digest import BadArchive, digest
from iexec_worker.model import ZERO_HASH, ContributionStatus, TaskStatus
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iexec_worker.devpool.chain.onchain import PoolTask
    from iexec_worker.devpool.chaos.orders import Order
    from iexec_worker.devpool.chaos.post import Life, Post
    from iexec_worker.devpool.chaos.scene import Scene
    from iexec_worker.devpool.scheduler.state import Replicate, Task

#: The label that every container of a task bears.
_LABEL: Final = "com.iexec.worker.wallet"

_SET_ASIDE: Final = "journal set aside"

#: What a drain that takes too long says aloud, as it should.
_MEANT: Final = "parked with"

#: Blocks that are asked for in one request.
_BATCH: Final = 50

_ENGINE_TIMEOUT: Final = 30


@frozen
class Part:
    """
    One worker's part in a task: its *status* as the pool knows it, *told* causes of failures.

    *contributions* and *reveals* are transactions that were mined, also those that failed.
    """

    wallet: str
    status: Status
    failures: Mapping[Status, str | None]
    contributions: int
    reveals: int
    onchain: ContributionStatus
    in_consensus: bool


@frozen
class Ended:
    """One task: its *state* in the pool, and on the chain; *delivered*: the archive's digest."""

    task_id: str
    number: int
    expected: str
    state: str
    onchain: TaskStatus
    digest: str
    delivered: str
    parts: tuple[Part, ...]


@frozen
class Remains:
    """What is left of one worker, which has been drained. *lost*: nRLC of its deposit."""

    name: str
    wallet: str
    lost: int
    drained: bool
    status: int | None
    containers: tuple[str, ...]
    files: tuple[str, ...]
    set_aside: tuple[str, ...]
    processes: tuple[int, ...]
    errors: tuple[str, ...]
    interrupted: Mapping[str, int]


@frozen
class Evidence:
    """Everything that the invariants are about; *recoveries* in seconds, sorted."""

    tasks: tuple[Ended, ...]
    workers: tuple[Remains, ...]
    recoveries: tuple[float, ...] = ()


async def collect(
    scene: Scene, bought: Mapping[str, Order], drained: Mapping[str, bool]
) -> Evidence:
    """Look at everything; the workers, by name in *drained*, have ended."""
    sent = await _transactions(scene)
    tasks = [await _task(scene, task_id, order, sent) for task_id, order in bought.items()]
    containers = await trio.to_thread.run_sync(_containers, scene.engine.host)
    workers = [
        await _remains(scene, post, containers, drained=drained[post.name]) for post in scene.posts
    ]
    return Evidence(tuple(tasks), tuple(workers), recoveries(scene))


async def _transactions(scene: Scene) -> Counter[tuple[str, str, str]]:
    """Count what was mined, by function, task and sender."""
    abi = scene.pool.village.contracts.hub.abi
    functions = {"0x" + abi.selector(name).hex(): name for name in ("contribute", "reveal")}
    head = (await scene.pool.chain.latest_block()).number
    found: Counter[tuple[str, str, str]] = Counter()
    for first in range(0, head + 1, _BATCH):
        numbers = range(first, min(first + _BATCH, head + 1))
        calls = [("eth_getBlockByNumber", (hex(number), True)) for number in numbers]
        for block in await scene.pool.node.rpc.batch(*calls):
            for sent in block["transactions"]:
                if function := functions.get(sent["input"][:10]):
                    found[function, "0x" + sent["input"][10:74], sent["from"].lower()] += 1
    return found


async def _task(
    scene: Scene, task_id: str, order: Order, sent: Counter[tuple[str, str, str]]
) -> Ended:
    task = scene.pool.scheduler.store.tasks.get(task_id)
    onchain = await scene.pool.chain.task(task_id)
    parts = [
        await _part(scene, onchain, replicate, task_id, sent)
        for replicate in (task.replicates.values() if task else ())
    ]
    return Ended(
        task_id=task_id,
        number=order.number,
        expected=order.digest,
        state=_state(task),
        onchain=onchain.status if onchain else TaskStatus.UNSET,
        digest=onchain.result_digest if onchain else ZERO_HASH,
        delivered=await _delivered(scene, task_id),
        parts=tuple(parts),
    )


def _state(task: Task | None) -> str:
    """The pool's word for it, and the one before: that says why a task has failed."""
    if task is None:
        return "UNKNOWN"
    return " after ".join(reversed([str(state) for state, _ in task.states[-2:]]))


async def _part(
    scene: Scene,
    onchain: PoolTask | None,
    replicate: Replicate,
    task_id: str,
    sent: Counter[tuple[str, str, str]],
) -> Part:
    wallet = replicate.wallet
    contribution = await scene.pool.chain.contribution(task_id, wallet)
    agreed = onchain.consensus_value if onchain else ZERO_HASH
    return Part(
        wallet=wallet,
        status=replicate.relevant,
        failures={
            told.status: told.cause
            for told in scene.pool.record.updates(task_id, wallet)
            if told.accepted and told.status.endswith("FAILED")
        },
        contributions=sent["contribute", task_id, wallet],
        reveals=sent["reveal", task_id, wallet],
        onchain=contribution.status,
        in_consensus=agreed not in ("", ZERO_HASH) and contribution.result_hash == agreed,
    )


async def _delivered(scene: Scene, task_id: str) -> str:
    results = scene.pool.results
    if not await results.stored(task_id):
        return ""
    archive = await trio.Path(results.ipfs.path(results.stored_as[task_id])).read_bytes()
    try:
        return digest(archive)
    except BadArchive as error:
        return f"none: {error}"


def _containers(host: str) -> dict[str, list[str]]:
    """The names of containers of tasks, by wallet."""
    client = docker.DockerClient(base_url=host, timeout=_ENGINE_TIMEOUT)
    found: dict[str, list[str]] = {}
    try:
        for one in client.api.containers(all=True, filters={"label": _LABEL}):
            found.setdefault(one["Labels"][_LABEL], []).extend(one["Names"])
    finally:
        client.close()
    return found


async def _remains(
    scene: Scene, post: Post, containers: Mapping[str, list[str]], *, drained: bool
) -> Remains:
    hub = scene.pool.village.contracts.hub
    account = await scene.pool.node.rpc.view(
        hub.address, hub.abi, "viewAccount", post.wallet.address
    )
    events = [event for life in post.lives for event in _events(life)]
    return Remains(
        name=post.name,
        wallet=post.wallet.address,
        lost=max(0, scene.deposit - account["stake"] - account["locked"]),
        drained=drained,
        status=post.lives[-1].status,
        containers=tuple(containers.get(post.wallet.address, ())),
        files=tuple(sorted(str(path.relative_to(post.base)) for path in _files(post.tasks))),
        set_aside=tuple(str(e.get("path")) for e in events if e["event"] == _SET_ASIDE),
        processes=tuple(_processes({life.session for life in post.lives if life.session})),
        errors=_counted(filter(_is_error, events)),
        interrupted=Counter(_kind(e["part"]) for e in events if e["event"] == "interrupted"),
    )


def _files(folder: Path) -> Iterator[Path]:
    return folder.rglob("*") if folder.is_dir() else iter(())


def _events(life: Life) -> Iterator[Mapping[str, Any]]:
    """
    What a worker logged.

    Python's own words, a traceback for instance, are one event of level `error`: their last line.
    """
    text = life.log.read_text(errors="replace") if life.log.exists() else ""
    for is_json, lines in groupby(text.splitlines(), lambda line: line.startswith("{")):
        if is_json:
            yield from filter(None, map(_event, lines))
        elif said := "".join(f"{line}\n" for line in lines).strip():
            last = said.rpartition("\n")[2]
            yield {"event": last, "level": "error", "timestamp": life.log.parent.name}


def _event(line: str) -> Mapping[str, Any] | None:
    try:
        event: Mapping[str, Any] = json.loads(line)
    except ValueError:
        # A worker that is killed may be cut short in the middle of a line.
        return None
    return event


def _is_error(event: Mapping[str, Any]) -> bool:
    loud = event["level"] in ("error", "critical") or "exception" in event
    return loud and not event["event"].startswith(_MEANT)


def _counted(events: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """One line for each different error, with its times: what fails for ever fills pages."""
    times: dict[str, list[str]] = {}
    for event in events:
        words = (event["event"], event.get("part"), event.get("reason"))
        times.setdefault(" ".join(str(w) for w in words if w), []).append(event["timestamp"])
    return tuple(f"{len(at)} x since {at[0]}: {text}" for text, at in times.items())


def _kind(path: str) -> str:
    """The name of a part of the tree; that of a replicate is its task's."""
    name = path.rpartition("/")[2]
    return "replicate" if name.startswith("0x") else name


def _processes(sessions: set[int]) -> Iterator[int]:
    """The processes that run in one of *sessions*."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) in sessions:
                yield int(entry.name)
        except ProcessLookupError:
            continue
