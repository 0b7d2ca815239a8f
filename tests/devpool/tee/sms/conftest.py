from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from iexec_worker.devpool.http.faults import Faults
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.service import Service
from iexec_worker.devpool.ipfs import Ipfs
from iexec_worker.devpool.tee.routes import make_app, make_provisioning
from iexec_worker.devpool.tee.sms import Sms
from iexec_worker.model import TeeFramework
from tests.devpool.tee.sms.desk import Desk, chain_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import trio


@pytest.fixture
def framework() -> TeeFramework:
    return TeeFramework.SCONE


@pytest.fixture
def version() -> str:
    return "9.3.1"


@pytest.fixture
async def desk(
    framework: TeeFramework, version: str, tmp_path: Path, nursery: trio.Nursery
) -> AsyncIterator[Desk]:
    chain, faults, record = chain_for(framework), Faults(), Record()
    sms = Sms(
        framework=framework,
        chain=chain,
        files=Ipfs(tmp_path),
        faults=faults.of("sms"),
        version=version,
    )
    port = await nursery.start(Service("sms", make_app(sms), faults, record).run)
    secrets = await nursery.start(Service("secrets", make_provisioning(sms), faults, record).run)
    sms.provisioning_url = f"127.0.0.1:{secrets}"
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=10) as client:
        yield Desk(sms, chain, client, f"http://{sms.provisioning_url}")
