from __future__ import annotations

import json
import uuid
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.networks.named import ensure_network
from iexec_worker.engine.networks.subnet import subnet
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.server.app import make_app
from iexec_worker.server.serve import run
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause
from tests.server.conftest import TASK, Reports, trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server.conftest import Worker

pytestmark = [pytest.mark.docker, pytest.mark.slow]

IMAGE = "iexec-worker-tests/callback:1"
EXIT = f"/compute/pre/{TASK}/exit"
BODY = json.dumps({"cause": Cause.PRE_COMPUTE_TIMEOUT})


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    await images.build(engine_url, IMAGE, Recipe())
    async with aclosing(Engine(engine_url)) as one:
        yield one
    await images.remove(engine_url, IMAGE)


#: Ends with 0 when it is taken, with 9 when it is refused for want of a signature.
CALL = f"""
said=$(busybox wget -q -O - --post-data '{BODY}' "$0" 2>&1) && exit 0
case "$said" in *"HTTP/1.1 400"*) exit 9 ;; esac
echo "$said"; exit 1
"""
TAKEN, REFUSED = 0, 9


async def call_from_a_container(containers: Containers, network: str | None, url: str) -> int:
    words = ("busybox", "sh", "-c", CALL, url)
    spec = ContainerSpec(f"tests-{uuid.uuid4().hex}", IMAGE, command=words, network=network)
    async with containers.running(spec) as container:
        return (await containers.wait(container, limit=20)).exit_code


async def test_who_does_not_sign_is_heard_from_a_container_of_the_network_only(
    engine: Engine, worker: Worker, reports: Reports, nursery: trio.Nursery
) -> None:
    name = f"tests-{uuid.uuid4().hex[:12]}"
    containers = Containers(engine)
    gateway = await ensure_network(engine, name)
    try:
        worker.pool_version, worker.subnet = "8.6.0", await subnet(engine, name)
        app = make_app(worker.view())
        # As a worker on the host: it listens where its containers reach the host, and others too.
        url: str = await nursery.start(partial(run, app, bind=gateway, port=0))
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(url + EXIT, content=BODY)).status_code == 400
        assert await call_from_a_container(containers, None, url + EXIT) == REFUSED
        assert reports.told == []

        assert await call_from_a_container(containers, name, url + EXIT) == TAKEN
        assert reports.told == [(Part.PRE, (Cause.PRE_COMPUTE_TIMEOUT,))]

        worker.pool_version = "9.2.0"
        worker.tasks[TASK] = later = trusted(TASK)
        assert await call_from_a_container(containers, name, url + EXIT) == REFUSED
        assert later.told == []
    finally:
        with trio.CancelScope(shield=True):
            await engine.call(lambda api: api.remove_network(name))
