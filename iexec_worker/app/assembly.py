"""From clients and terms to a member: where every part is given what it works with."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from iexec_worker.app.identity import Chain
from iexec_worker.app.staging import build_stages
from iexec_worker.chain.commitments import login_hash
from iexec_worker.chain.gas import GasRules
from iexec_worker.chain.hub import Hub
from iexec_worker.chain.node.blocks import BlockWatch
from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.transactions.flight import Route
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.images.cache import ImageCache
from iexec_worker.engine.images.inventory import Inventory
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.images.registries import Registries
from iexec_worker.engine.images.survey import Survey
from iexec_worker.janitor.leftovers import Leftovers
from iexec_worker.membership import join
from iexec_worker.membership.member import Member
from iexec_worker.membership.obstacles import Obstacles
from iexec_worker.replicates.credibility import Credibility
from iexec_worker.replicates.journal import Journal
from iexec_worker.replicates.steps import Steps
from iexec_worker.replicates.surroundings import Surroundings
from iexec_worker.replicates.uploads import Uploads
from iexec_worker.results.tree import Limits
from iexec_worker.scheduler.api import SchedulerApi
from iexec_worker.scheduler.link import Link
from iexec_worker.scheduler.session import Session
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.stages.conditions import Conditions
from iexec_worker.stages.discard import Discard
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.stages.sending import Sending

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from iexec_worker.app.identity import Identity
    from iexec_worker.membership.join import Terms
    from iexec_worker.model import WorkerModel
    from iexec_worker.telemetry.prometheus import Metrics
    from iexec_worker.wire import Status


def api_of(own: Identity) -> SchedulerApi:
    """The pool's REST interface."""
    return SchedulerApi(own.clients.pool, own.config.scheduler.url)


def build_chain(own: Identity, terms: Terms, client: httpx.AsyncClient) -> Chain:
    """Build what talks to the chain that *terms* name, through *client*."""
    urls = own.config.chain.node_urls or (terms.chain.node_url,)
    provider = NodeProvider(client, urls, terms.chain.chain_id)
    blocks = BlockWatch(provider, terms.chain.block_time)
    rules = GasRules(
        own.config.chain.gas_price_multiplier,
        own.config.chain.gas_price_cap,
        terms.chain.sidechain,
    )
    hub = Hub(provider, terms.chain.hub_address, own.wallet.address, blocks.pause)
    route = Route(provider, own.wallet, blocks, rules, terms.chain.chain_id, terms.chain.block_time)
    return Chain(provider, blocks, hub, Transactions(route, hub, _counter(own.metrics)), rules)


async def _trouble_here(own: Identity, journal: Journal) -> str:
    """Say why this machine cannot take a task now; the disk is looked at again."""
    return own.engine.trouble or await own.disk.look() or journal.trouble


def _counter(metrics: Metrics) -> Callable[[bool], None]:
    def count(succeeded: bool) -> None:
        metrics.poco_transactions.labels("success" if succeeded else "failure").inc()

    return count


def _timer(metrics: Metrics) -> Callable[[Status, bool, float], None]:
    def observe(stage: Status, succeeded: bool, seconds: float) -> None:
        outcome = "success" if succeeded else "failure"
        metrics.stage_duration.labels(stage.value, outcome).observe(seconds)

    return observe


def build_member(own: Identity, terms: Terms, chain: Chain, model: WorkerModel) -> Member:
    """Build a membership of the pool with these *terms*."""
    config, address = own.config, own.wallet.address
    api = api_of(own)
    session = Session(api, address, lambda text: own.wallet.sign_hash(login_hash(text)))
    subscriptions = Subscriptions()
    conditions = Conditions(chain.hub, address, config.scheduler.pool_address, time.time)
    credibility = Credibility(conditions, session, chain.blocks, Uploads(chain.blocks))
    sending = Sending(chain.transactions, chain.blocks)
    results = config.results
    post_compute = PostCompute(Limits(results.max_entries, results.max_bytes, results.max_depth))
    images = _images(own)
    stages = build_stages(
        own, terms, chain, conditions, sending, cache=images, post_compute=post_compute
    )
    journal = Journal(config.worker.tasks_dir)
    containers = Containers(own.clients.engine)
    return Member(
        terms=terms,
        ask_terms=partial(join.ask, api, own.clients.pool, config.scheduler.pool_address),
        session=session,
        link=Link(own.clients.pool, config.scheduler.url, address, subscriptions, session.gate),
        model=model,
        around=Surroundings(
            steps=Steps(stages, session, credibility, time.time, _timer(own.metrics)),
            credibility=credibility,
            conditions=conditions,
            hub=chain.hub,
            blocks=chain.blocks,
            subscriptions=subscriptions,
            sending=sending,
            journal=journal,
            slots=own.slots,
            post_compute=post_compute,
            discard=Discard(containers, address),
            now=time.time,
        ),
        obstacles=Obstacles(
            chain.hub,
            chain.blocks,
            chain.rules,
            chain.transactions.dues,
            own.ending.draining,
            partial(_trouble_here, own, journal),
        ),
        leftovers=Leftovers(config.worker.tasks_dir, containers, address, own.enclaves.las.names),
        images=images,
        lost_after=config.scheduler.lost_after,
        ending=own.ending,
        observe_ping=own.metrics.ping_duration.observe,
    )


def _images(own: Identity) -> ImageCache:
    """The images of apps, looked at before they are pulled and removed when there are many."""
    docker, rules, clients = own.config.docker, own.config.images, own.clients
    named = {*(login.address for login in docker.registries)}
    named |= {place.partition("/")[0] for place in rules.registries}

    def client_for(registry: str) -> httpx.AsyncClient:
        # A registry that the operator names may be on a private network.
        return clients.pool if registry in named else clients.strangers

    survey = Survey(clients.engine, Registries(client_for), rules.max_bytes)
    worker = own.config.worker
    return ImageCache(
        Images(clients.engine, docker.registries, docker.pull_stall, survey),
        Inventory(worker.base_dir / f"{worker.name}.images.json"),
        rules.cache_high,
        rules.cache_low,
        own.config.tee.scontain_registry.lower(),
        own.disk.look,
        time.time,
    )
