"""What the hub's views return, as the model's values. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.chain.multiaddress import decode_multiaddress
from iexec_worker.chain.params import parse_deal_params
from iexec_worker.model import (
    ZERO_HASH,
    Account,
    Contribution,
    ContributionStatus,
    OnchainTask,
    TaskDescription,
    TaskStatus,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def onchain_task(values: Sequence[Any]) -> OnchainTask:
    """Read the answer of viewTaskABILegacy; its fourth value repeats the category's time."""
    status, deal_id, index, _, contribution, reveal, final, *rest = values
    consensus, reveals, winners, contributors, results = rest
    return OnchainTask(
        status=TaskStatus(status),
        deal_id=deal_id,
        index=index,
        contribution_deadline=contribution,
        reveal_deadline=reveal,
        final_deadline=final,
        consensus_value=consensus,
        reveal_counter=reveals,
        winner_counter=winners,
        contributors=contributors,
        results=results,
    )


def contribution(values: Sequence[Any]) -> Contribution:
    """Read the answer of viewContribution without its weight."""
    ((status, result_hash, result_seal, challenge, _),) = values
    return Contribution(ContributionStatus(status), result_hash, result_seal, challenge)


def account(values: Sequence[Any]) -> Account:
    """Read the answer of viewAccount."""
    ((stake, locked),) = values
    return Account(stake, locked)


@frozen
class Deal:
    """The parts of a deal that a worker reads. *start_time* 0: not there yet."""

    app: str
    dataset: str
    trust: int
    category: int
    tag: str
    requester: str
    beneficiary: str
    callback: str
    params: str
    start_time: int
    bot_first: int
    bot_size: int
    worker_stake: int


def deal(values: Sequence[Any]) -> Deal:
    """Read the answer of viewDeal."""
    ((app, dataset, _, *plain),) = values
    *known, _, _ = plain  # scheduler's reward ratio, sponsor
    return Deal(app[0], dataset[0], *known)


@frozen
class Asset:
    """An app or a dataset."""

    name: str = ""
    kind: str = ""
    uri: str = ""
    checksum: str = ZERO_HASH
    enclave: str = ""


def app(values: Sequence[Any]) -> Asset:
    """Read the answer of viewApp."""
    ((_, name, kind, location, checksum, enclave),) = values
    return Asset(name, kind, _text(location), checksum, _text(enclave))


def dataset(values: Sequence[Any]) -> Asset:
    """Read the answer of viewDataset."""
    ((_, name, location, checksum),) = values
    return Asset(name=name, uri=decode_multiaddress(location), checksum=checksum)


def description(
    chain_task_id: str,
    task: OnchainTask,
    deal: Deal,
    *,
    app: Asset,
    dataset: Asset,
    seconds: int,
) -> TaskDescription:
    """Put together all that never changes; *seconds* is the category's time reference."""
    return TaskDescription(
        chain_task_id=chain_task_id,
        deal_id=task.deal_id,
        index=task.index,
        app_address=deal.app,
        app_type=app.kind,
        app_uri=app.uri,
        app_enclave=app.enclave,
        dataset_address=deal.dataset,
        dataset_name=dataset.name,
        dataset_uri=dataset.uri,
        dataset_checksum=dataset.checksum,
        requester=deal.requester,
        beneficiary=deal.beneficiary,
        callback=deal.callback,
        params=parse_deal_params(deal.params),
        tag=deal.tag,
        trust=deal.trust,
        time_reference=float(seconds),
        bot_first=deal.bot_first,
        bot_size=deal.bot_size,
        start_time=deal.start_time,
        contribution_deadline=task.contribution_deadline,
        final_deadline=task.final_deadline,
        worker_stake=deal.worker_stake,
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
