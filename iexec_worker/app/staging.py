"""From clients to stages: what each step of a task is done with."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.engine.containers import Containers
from iexec_worker.inputs import download
from iexec_worker.inputs.download import Downloader
from iexec_worker.inputs.files import InputFiles
from iexec_worker.results.proxy import ResultProxy
from iexec_worker.stages.admission import Admission
from iexec_worker.stages.complete import complete
from iexec_worker.stages.compute import Compute
from iexec_worker.stages.contribute import Contribute
from iexec_worker.stages.contribute_and_finalize import ContributeAndFinalize
from iexec_worker.stages.download_app import DownloadApp
from iexec_worker.stages.download_data import DownloadData
from iexec_worker.stages.fallback import Fallback
from iexec_worker.stages.links import Proxies, Stored
from iexec_worker.stages.reveal import Reveal
from iexec_worker.stages.running.app import AppRun
from iexec_worker.stages.running.container import Running
from iexec_worker.stages.running.developer_log import DeveloperLog
from iexec_worker.stages.start import Start
from iexec_worker.stages.task import ByTrust
from iexec_worker.stages.trusted.compute import ComputeTrusted
from iexec_worker.stages.trusted.services import TrustedServices
from iexec_worker.stages.trusted.sessions import Sessions
from iexec_worker.stages.trusted.specs import TrustedSpecs
from iexec_worker.stages.upload import Upload
from iexec_worker.tee.sms import Sms
from iexec_worker.tee.sms_book import SmsBook
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.app.identity import Chain, Identity
    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.membership.join import Terms
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Stage


def build_stages(
    own: Identity,
    terms: Terms,
    chain: Chain,
    conditions: Conditions,
    sending: Sending,
    *,
    cache: ImageCache,
    post_compute: PostCompute,
) -> Mapping[Action, Stage]:
    """Give every stage its clients, once."""
    config, clients, address = own.config, own.clients, own.wallet.address
    trusted = _trusted(own, cache)
    downloader = Downloader(clients.strangers, download.Limits(config.inputs.max_bytes))
    fallback = Fallback(post_compute, terms.version, trusted.services, own.durations)

    allowed = config.images
    admission = Admission(allowed.registries, allowed.apps, allowed.requesters)

    def proxy_at(url: str) -> ResultProxy:
        # The pool's own proxy may be on a private network; one a requester names may not.
        is_pools = url == terms.config.result_proxy_url
        return ResultProxy(clients.pool if is_pools else clients.strangers, url)

    proxies = Proxies(proxy_at, terms.config.result_proxy_url)
    stored = Stored(proxies, chain.blocks)
    return {
        Action.PLEASE_START: Start(
            conditions,
            admission,
            trusted.specs,
            Sessions(own.wallet, proxies, chain.blocks),
            partial(Sms, clients.strangers),
            SmsBook(config.worker.base_dir / f"{config.worker.name}.sms.json"),
        ),
        Action.PLEASE_DOWNLOAD_APP: DownloadApp(
            conditions,
            cache,
            fallback,
            config.docker.pull_min,
            config.docker.pull_max,
            own.metrics.pull_bytes.inc,
        ),
        Action.PLEASE_DOWNLOAD_DATA: DownloadData(
            conditions, InputFiles(downloader, config.inputs.ipfs_gateways), fallback
        ),
        Action.PLEASE_COMPUTE: ByTrust(
            standard=Compute(
                conditions,
                trusted.app,
                post_compute,
                own.durations,
                config.worker.name,
                address,
                config.worker.gpu_enabled,
            ),
            trusted=ComputeTrusted(
                conditions, trusted.app, trusted.specs, trusted.services, own.durations
            ),
        ),
        Action.PLEASE_CONTRIBUTE: Contribute(conditions, chain.hub, sending, address),
        Action.PLEASE_CONTRIBUTE_AND_FINALIZE: ContributeAndFinalize(
            conditions, chain.hub, sending, stored
        ),
        Action.PLEASE_REVEAL: Reveal(
            conditions, chain.hub, sending, chain.blocks, address, time.time
        ),
        Action.PLEASE_UPLOAD: Upload(own.wallet, proxies, chain.blocks, stored),
        Action.PLEASE_COMPLETE: complete,
    }


@frozen
class _Runs:
    """What runs containers: *app* those of all apps, the rest what only trusted tasks have."""

    app: AppRun
    specs: TrustedSpecs
    services: TrustedServices


def _trusted(own: Identity, cache: ImageCache) -> _Runs:
    config = own.config.worker
    running = Running(Containers(own.clients.engine), own.sandbox, own.ending.leaves_running)
    developer_log = DeveloperLog(config.developer_logger)
    specs = TrustedSpecs(
        own.enclaves.frameworks(cache),
        own.enclaves.network,
        config.name,
        own.wallet.address,
        config.gpu_enabled,
    )
    return _Runs(
        AppRun(
            cache.images, running, developer_log, lambda end: own.metrics.app_ends.labels(end).inc()
        ),
        specs,
        TrustedServices(specs, cache.images, running, developer_log),
    )
