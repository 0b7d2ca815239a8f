"""The end of a demo, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from iexec_worker.devpool.demo.progress import complaints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from iexec_worker.devpool.demo.proof import Proof
    from iexec_worker.devpool.demo.scene import Scene

#: Characters of an app's output that are worth showing.
_LAST_WORDS: Final = 2_000

#: A digest that is longer is shown by its ends.
_SHORT: Final = 20


def as_json(_console: Console, scene: Scene, proofs: Sequence[Proof], stuck: str) -> None:
    """Print everything on standard output; *stuck*: why some tasks did not end."""
    tasks = [proof.as_json() for proof in proofs]
    told = {"folder": str(scene.options.folder), "stuck": stuck, "tasks": tasks}
    print(json.dumps(told, indent=2))  # noqa: T201  # what --json is for


def as_text(console: Console, scene: Scene, proofs: Sequence[Proof], stuck: str) -> None:
    """Print a table, and what went wrong or that nothing did."""
    console.print()
    console.print(_table(proofs))
    bad = [proof for proof in proofs if proof.problem]
    for line in [stuck, *(f"task {proof.number}: {proof.problem}" for proof in bad)]:
        if line:
            console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    for proof in bad:
        _explain(console, scene, proof)
    if not stuck and not bad:
        text = f"{len(proofs)} of {len(proofs)} tasks COMPLETED on the chain, every digest equal"
        console.print(f"\n{text}", style="green", highlight=False)


def invite(console: Console, scene: Scene) -> None:
    """Say what is up, and until when."""
    up = {"scheduler": scene.pool.url, "chain": scene.pool.node_url}
    for process in (member.process for member in scene.members):
        up[process.name] = f"{process.url}/actuator/supervision"
    for name, url in up.items():
        console.print(f"{name:12} {url}", highlight=False)
    console.print("everything stays up until Ctrl-C", highlight=False)


def _explain(console: Console, scene: Scene, proof: Proof) -> None:
    """Print what worker and app had to say about a failure: mostly they know why."""
    lines = complaints(scene, proof.task_id)
    if proof.output:
        lines += [f"the app of task {proof.number} printed:", proof.output[-_LAST_WORDS:]]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(proofs: Sequence[Proof]) -> Table:
    """What the chain says of each task, beside what is on disk."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("TASK", "ON-CHAIN", "DIGEST ON-CHAIN", "OF THE RESULT", "APP", "RESULT"):
        result.add_column(title, overflow="fold")
    for proof in proofs:
        result.add_row(
            f"{proof.number}  {proof.task_id[:10]}…",
            proof.status,
            _short(proof.onchain),
            _compared(proof),
            "" if proof.exit_code is None else f"exit {proof.exit_code}",
            escape(str(proof.archive or proof.called or "none")),
        )
    return result


def _compared(proof: Proof) -> str:
    if not proof.recomputed:
        return "none"
    return f"{_short(proof.recomputed)} {'equal' if proof.recomputed == proof.onchain else 'OTHER'}"


def _short(digest: str) -> str:
    return digest if len(digest) <= _SHORT else f"{digest[:10]}…{digest[-6:]}"
