from __future__ import annotations

import uuid

import docker
import pytest

from iexec_worker.devpool import network as networks
from iexec_worker.devpool.network import network
from iexec_worker.errors import Fatal

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def names(engine_url: str) -> set[str]:
    client = docker.DockerClient(base_url=engine_url)
    try:
        return {str(found.name) for found in client.networks.list()}
    finally:
        client.close()


async def test_a_network_is_there_as_long_as_it_is_used(engine_url: str) -> None:
    name = f"tests-{uuid.uuid4().hex[:8]}"
    async with network(engine_url, name) as gateway:
        assert name in names(engine_url)
        assert gateway.endswith(".1")
        async with network(engine_url, name) as again:
            assert again == gateway
        # Whoever did not make it leaves it.
        assert name in names(engine_url)
    assert name not in names(engine_url)


async def test_an_engine_of_another_machine_is_refused(
    engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An address that documents use and no machine has.
    monkeypatch.setattr(networks, "_ensure", lambda *_: (False, "192.0.2.1"))
    with pytest.raises(Fatal, match="use an engine of this machine"):
        async with network(engine_url, "any"):
            pass
