"""The SMS of each framework that a pool has, started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.devpool.chain.tags import knows
from iexec_worker.devpool.tee.routes import make_app, make_provisioning
from iexec_worker.devpool.tee.sms import Sms
from iexec_worker.errors import Fatal
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from iexec_worker.devpool.hosting import Host
    from iexec_worker.devpool.ipfs import Ipfs
    from iexec_worker.devpool.tee.execution import Chain


async def open_sms(host: Host, chain: Chain, files: Ipfs) -> dict[TeeFramework, Sms]:
    """
    Start one SMS per framework of the pool's options, in the version that goes with the scheduler.

    Their services are called `sms-scone` and so on; where enclaves get secrets, `provisioning-…`.
    Raises Fatal for a framework that this version does not have.
    """
    options = host.options
    version = "8.7.0" if options.scheduler.numbers < (9,) else "9.3.1"
    for framework in options.frameworks:
        if not knows(options.scheduler.numbers, framework):
            wanted = f"{framework.name} in a pool of version {options.scheduler.version}"
            raise Fatal(f"there is no {wanted}: take a version of 9.1.0 or later")
    return {f: await _open(host, f, chain, files, version) for f in options.frameworks}


async def _open(
    host: Host, framework: TeeFramework, chain: Chain, files: Ipfs, version: str
) -> Sms:
    name = framework.name.lower()
    faults = host.faults.of(f"sms-{name}")
    sms = Sms(framework=framework, chain=chain, files=files, faults=faults, version=version)
    service = await host.serve(f"sms-{name}", make_app(sms))
    secrets = await host.serve(f"provisioning-{name}", make_provisioning(sms), for_containers=True)
    sms.url = host.url(service)
    place = host.place(secrets, for_containers=True)
    # CAS and SPS are found by host and port, the attestation of TDX by a URL.
    sms.provisioning_url = f"http://{place}" if framework is TeeFramework.TDX else place
    return sms
