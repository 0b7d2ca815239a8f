"""What an app reaches: the internet, its own nameserver, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.engine.networks.apps import NAME, AppNetwork, Place
from iexec_worker.engine.networks.firewall import Firewall
from tests.confined import sandbox
from tests.hostile.lab import PORT, PRIVATE, PUBLIC, Lab, open_lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.engine.sandbox import Sandbox
    from tests.hostile.attack import Arena

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as lab:
        yield lab


@pytest.fixture
async def public(arena: Arena, lab: Lab, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """What confines apps to the internet; a private nameserver is the host's."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {lab.resolver}\n")
    box = sandbox(arena.engine, NETWORK="public")
    box.network = AppNetwork(arena.engine, "public", [tmp_path / "resolv.conf"])
    await box.prepare()
    if box.network.name is None:
        pytest.skip("this firewall cannot be changed")
    yield box
    await box.close()


def tries(addresses: list[str], port: int = PORT) -> str:
    """A script that tries to connect to all of *addresses* at once, and says who answered."""
    # All at once: what is dropped is only known by waiting.
    one = "(timeout 3 nc -w 2 {a} {p} < /dev/null 2> /dev/null | grep -q . && echo reached {a}) & "
    return "".join(one.format(a=address, p=port) for address in addresses) + "wait; echo done"


async def test_the_internet_is_reached(arena: Arena, public: Sandbox, lab: Lab) -> None:
    found = await arena.attack(public, tries([PUBLIC]))

    assert found.said == [f"reached {PUBLIC}", "done"]


async def test_private_networks_and_the_metadata_service_are_not(
    arena: Arena, public: Sandbox, lab: Lab
) -> None:
    found = await arena.attack(public, tries([*PRIVATE.values(), PUBLIC]))

    assert found.said == [f"reached {PUBLIC}", "done"]
    assert lab.reached == {PUBLIC}


async def test_the_full_network_would_have_reached_them(arena: Arena, lab: Lab) -> None:
    found = await arena.attack(arena.sandbox(), tries(list(PRIVATE.values())))

    assert lab.reached == set(PRIVATE.values()), found.said


async def test_ports_of_the_host_are_not_reached_by_any_of_its_addresses(
    arena: Arena, public: Sandbox, lab: Lab
) -> None:
    visits = 0

    async def canary(stream: trio.SocketStream) -> None:
        nonlocal visits
        visits += 1
        await stream.send_all(b"the worker's own server\n")
        await stream.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="0.0.0.0")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, canary, [listener])
        found = await arena.attack(public, tries(list(lab.host), port))
        scan = "ip route | grep default | cut -d' ' -f3 | { read h; for p in $(seq 1 1024); do "
        scan += "(timeout 1 nc -w 1 $h $p < /dev/null 2> /dev/null && echo open $p) & done; wait; }"
        scanned = await arena.attack(public, scan)
        with_full = await arena.attack(arena.sandbox(), tries(list(lab.host), port))
        nursery.cancel_scope.cancel()

    assert (found.said, scanned.said) == (["done"], [])
    assert visits == len(with_full.said) - 1 > 0


async def test_apps_do_not_reach_each_other(arena: Arena, public: Sandbox) -> None:
    async with arena.running(public, "nc -lk -p 8077 -e echo reached") as other:
        inspected = await arena.engine.call(lambda api: api.inspect_container(other))
        address = inspected["NetworkSettings"]["Networks"][NAME]["IPAddress"]
        found = await arena.attack(public, tries([address]))

    assert found.said == ["done"]


async def test_names_are_resolved_by_a_private_nameserver_that_is_asked_nothing_else(
    arena: Arena, public: Sandbox, lab: Lab
) -> None:
    ask = f"nslookup canary.example {lab.resolver}; {tries([lab.resolver])}"
    found = await arena.attack(public, ask)

    assert any(PUBLIC in line for line in found.said), found.said
    assert lab.reached == set()


async def test_without_a_network_nothing_is_reached(arena: Arena, lab: Lab) -> None:
    found = await arena.attack(arena.sandbox(NETWORK="none"), tries([PUBLIC, *lab.host]))

    assert found.said[-1] == "done"
    assert not any(line.startswith("reached") for line in found.said)
    assert lab.reached == set()


async def test_rules_that_somebody_removed_are_there_before_the_next_app(
    arena: Arena, public: Sandbox, lab: Lab
) -> None:
    firewall = await Firewall.find()
    place = await place_of(arena)
    await firewall.drop(place.rules)

    found = await arena.attack(public, tries(list(PRIVATE.values())))
    assert (found.said, lab.reached) == (["done"], set())


async def test_a_network_that_somebody_removed_is_there_for_the_next_app(
    arena: Arena, public: Sandbox, lab: Lab
) -> None:
    await arena.engine.call(lambda api: api.remove_network(NAME))

    found = await arena.attack(public, tries([PUBLIC, *PRIVATE.values()]))
    assert found.said == [f"reached {PUBLIC}", "done"]


async def test_the_last_worker_to_leave_takes_everything_away(
    arena: Arena, public: Sandbox
) -> None:
    other = sandbox(arena.engine, NETWORK="public")
    await other.prepare()
    place, firewall = await place_of(arena), await Firewall.find()

    await other.close()
    assert place.is_here
    assert place.rules.held(await firewall.listing())[0]

    await public.close()
    assert not (await place_of(arena)).is_here
    assert place.rules.chain not in await firewall.listing()


async def test_what_a_killed_worker_left_is_removed_by_one_that_wants_none_of_it(
    arena: Arena, public: Sandbox
) -> None:
    place, firewall = await place_of(arena), await Firewall.find()
    # The kernel does this for a process that is killed.
    assert (await place_of(arena)).tenancy.is_used()
    assert public.network._place is not None
    public.network._place.tenancy.leave()

    await sandbox(arena.engine, NETWORK="full").prepare()
    assert not place.is_here
    assert place.rules.chain not in await firewall.listing()


async def test_an_app_that_goes_on_keeps_its_walls(arena: Arena, public: Sandbox, lab: Lab) -> None:
    wait = "while [ ! -e /iexec_in/go ]; do sleep 0.1; done; "
    async with arena.running(public, wait + tries(list(PRIVATE.values()))) as container:
        await public.close()
        found = await arena.containers.find(container)
        assert found is not None
        (arena.folder / found.name / "input" / "go").touch()
        await arena.over(public, container)

    assert lab.reached == set()


async def test_an_engine_elsewhere_gives_the_full_network_and_one_warning(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, log_events: list[dict[str, object]]
) -> None:
    # What a worker in a container sees: the bridge is made, but not where it is.
    monkeypatch.setattr(Place, "is_here", False)
    box = sandbox(arena.engine, NETWORK="public")
    await box.prepare()
    await box.prepare()
    warnings = [event for event in log_events if event["log_level"] == "warning"]

    assert box.network.name is None
    assert [str(event["reason"]) for event in warnings] == [
        "the engine's bridges are not in this network namespace"
    ]


async def place_of(arena: Arena) -> Place:
    info = await arena.engine.call(lambda api: api.info())
    return Place.of(info)
