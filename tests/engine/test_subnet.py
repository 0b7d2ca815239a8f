from __future__ import annotations

import ipaddress
import uuid
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from iexec_worker.engine.networks.named import ensure_network
from iexec_worker.engine.networks.subnet import Subnet, subnet

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

FOUND = Subnet(
    (ip_network("172.18.0.0/16"), ip_network("fd00:1::/64")),
    frozenset({ip_address("172.18.0.1"), ip_address("fd00:1::1")}),
)


@pytest.mark.parametrize("address", ["172.18.0.2", "::ffff:172.18.0.2", "fd00:1::2"])
def test_a_containers_address_is_in_the_network(address: str) -> None:
    assert FOUND.has(address)
    assert not Subnet().has(address)


@pytest.mark.parametrize(
    "address",
    ["172.18.0.1", "::ffff:172.18.0.1", "fd00:1::1", "172.19.0.2", "127.0.0.1", "::1", "", "host"],
)
def test_others_are_not_and_the_host_itself_is_none(address: str) -> None:
    assert not FOUND.has(address)


@pytest.mark.docker
@pytest.mark.slow
async def test_the_engine_says_which_addresses_its_containers_have(
    engine: Engine, containers: Containers, spec: Callable[..., ContainerSpec]
) -> None:
    name = f"tests-{uuid.uuid4().hex[:12]}"
    assert await subnet(engine, name) == Subnet()
    gateway = await ensure_network(engine, name)
    try:
        found = await subnet(engine, name)
        async with containers.running(spec("sleep", "60", network=name)) as running:
            networks = (await engine.call(lambda api: api.inspect_container(running)))[
                "NetworkSettings"
            ]["Networks"]
    finally:
        await engine.call(lambda api: api.remove_network(name))

    assert found.has(networks[name]["IPAddress"])
    assert found.gateways == {ipaddress.ip_address(gateway)}
    assert not found.has(gateway)
