from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import attrs
import docker
import pytest
import trio

from iexec_worker.app.checks import machine
from iexec_worker.app.checks.finding import Level

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.app.checks.finding import Finding
    from tests.app.checks.conftest import Applicant

pytestmark = [pytest.mark.node, pytest.mark.slow]

OTHER_POOL = "0x" + "ab" * 20
#: In GB, on either side of what is too little and of what is little.
ROOM = {0.9: Level.FAIL, 1.1: Level.WARN, 19.9: Level.WARN, 20.1: Level.OK}

REAL = machine._TOO_LITTLE, machine._LITTLE


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    # How full the disk of the machine is says nothing about the code.
    monkeypatch.setattr(machine, "_LITTLE", 0)
    monkeypatch.setattr(machine, "_TOO_LITTLE", 0)


def at(level: Level, found: dict[str, Finding]) -> set[str]:
    return {name for name, finding in found.items() if finding.level is level}


async def test_whoever_may_join_is_well_but_for_the_engine(applicant: Applicant) -> None:
    found = await applicant.check()

    assert at(Level.FAIL, found) == {"engine"}
    assert at(Level.OK, found) == found.keys() - {"engine"}
    assert "DOCKER_HOST" in found["engine"].fix
    assert applicant.wallet.address in found["wallet"].fact
    assert "9.3.0" in found["scheduler"].fact
    assert found["chain id"].fact == "65535"
    # One coin at 22 gwei and a million gas each.
    assert "45 transactions" in found["gas"].fact
    assert found["stake"].fact == "0.001 RLC free, 0 RLC locked in tasks"


@pytest.mark.docker
async def test_an_engine_that_answers_is_told_with_its_version(
    applicant: Applicant, engine_url: str
) -> None:
    found = await applicant.check(DOCKER_HOST=engine_url)

    client = docker.DockerClient(base_url=engine_url)
    version = client.version()["Version"]
    client.close()
    assert found["engine"].level is Level.OK
    assert found["engine"].fact == f"version {version} at {engine_url}"


async def test_without_a_scheduler_what_needs_it_is_skipped(applicant: Applicant) -> None:
    found = await applicant.check(IEXEC_CORE_URL="http://127.0.0.1:1")

    assert at(Level.FAIL, found) == {"engine", "scheduler"}
    assert at(Level.OK, found) == {"wallet", "disk"}
    assert found["login"].fact == "needs scheduler"
    assert found["stake"].level is Level.SKIPPED
    assert "IEXEC_CORE_URL" in found["scheduler"].fix


async def test_a_scheduler_that_never_answers_is_not_waited_for(applicant: Applicant) -> None:
    applicant.pool.faults.on("GET /workers/config").hang()

    with trio.fail_after(5):
        found = await applicant.check(limit=0.5)

    assert found["scheduler"].fact == "no answer within 0.5 s"
    assert found["config server"].level is Level.SKIPPED


async def test_a_page_instead_of_json_is_one_line(applicant: Applicant) -> None:
    applicant.pool.faults.on("GET /workers/config").body(b"<html>\nhello\n</html>")
    found = await applicant.check()

    assert found["scheduler"].level is Level.FAIL
    assert "\n" not in found["scheduler"].fact


async def test_a_node_of_ones_own_needs_no_config_server(applicant: Applicant) -> None:
    applicant.pool.faults.on("GET /config/chain").status(500)
    found = await applicant.check(
        IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS=applicant.pool.node_url
    )

    assert found["config server"].level is Level.FAIL
    assert found["node"].level is Level.OK
    assert found["chain id"].level is found["gas"].level is Level.SKIPPED
    assert found["clock"].level is Level.OK


async def test_a_node_that_is_away_names_its_variable(applicant: Applicant) -> None:
    found = await applicant.check(
        IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS="http://127.0.0.1:1/a-secret-key"
    )

    assert "OVERRIDE_BLOCKCHAIN_NODE" in found["node"].fix
    assert "a-secret-key" not in found["node"].fact


async def test_another_chain_is_told(applicant: Applicant) -> None:
    chain = {
        "chainId": 134,
        "sidechain": True,
        "chainNodeUrl": applicant.pool.node_url,
        "iexecHubContractAddress": applicant.pool.chain.hub,
        "blockTime": "PT1S",
    }
    applicant.pool.faults.on("GET /config/chain").body(json.dumps(chain).encode())
    found = await applicant.check()

    assert found["chain id"].fact == "the node is of chain 65535, the pool works on chain 134"
    assert found["stake"].level is Level.SKIPPED


async def test_another_pool_is_told(applicant: Applicant) -> None:
    found = await applicant.check(POOL_ADDRESS=OTHER_POOL)

    assert found["scheduler"].level is Level.FAIL
    assert OTHER_POOL in found["scheduler"].fact


async def test_a_wrong_password_leaves_the_rest_alone(applicant: Applicant) -> None:
    found = await applicant.check(IEXEC_WORKER_WALLET_PASSWORD="wrong")

    assert at(Level.FAIL, found) == {"engine", "wallet"}
    assert at(Level.SKIPPED, found) == {"login", "gas", "stake"}


async def test_a_wallet_that_is_not_on_the_list_is_told(applicant: Applicant) -> None:
    settings = attrs.evolve(
        applicant.pool.scheduler.settings, whitelist=frozenset({applicant.pool.chain.owner_address})
    )
    await applicant.pool.scheduler.restart(settings)
    found = await applicant.check()

    assert found["login"].level is Level.FAIL
    assert "whitelist" in found["login"].fix


@pytest.mark.parametrize(("wei", "level"), [(0, Level.FAIL), (10**17, Level.WARN)])
async def test_little_gas_is_told_with_the_address(
    applicant: Applicant, wei: int, level: Level
) -> None:
    await applicant.pool.node.set_balance(applicant.wallet.address, wei)
    found = await applicant.check()

    assert found["gas"].level is level
    assert applicant.wallet.address in found["gas"].fix


async def test_a_wallet_without_a_deposit_is_warned(applicant: Applicant, tmp_path: Path) -> None:
    from iexec_worker.devpool import wallets

    poor = await wallets.make(tmp_path, "poor")
    found = await applicant.check(
        IEXEC_WORKER_WALLET_PATH=str(poor.path), IEXEC_WORKER_WALLET_PASSWORD=poor.password
    )

    assert found["stake"].level is Level.WARN


async def test_a_result_proxy_that_is_ill_is_the_pools_to_mend(applicant: Applicant) -> None:
    applicant.pool.faults.on("GET /version", server="result-proxy").status(503)
    found = await applicant.check()

    assert at(Level.FAIL, found) == {"engine", "result proxy"}
    assert "503" in found["result proxy"].fact
    assert "tell its manager" in found["result proxy"].fix
    assert found["scheduler"].level is Level.OK


async def test_little_room_is_a_warning_and_too_little_a_failure(
    applicant: Applicant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, amount in zip(("_TOO_LITTLE", "_LITTLE"), REAL, strict=True):
        monkeypatch.setattr(machine, name, amount)
    for room, level in ROOM.items():
        usage = SimpleNamespace(free=int(room * 1024**3))
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        found = (await applicant.check())["disk"]

        assert found.level is level
        where = f"{room} GB free at {applicant.environ['IEXEC_WORKER_BASE_DIR']}"
        assert found.fact.partition(": ")[0] == where
        assert ("make room" in found.fix) is (level is not Level.OK)


async def test_less_room_than_work_is_taken_with_is_a_failure(applicant: Applicant) -> None:
    found = (await applicant.check(IEXEC_WORKER_MIN_FREE_DISK_GB="1000000"))["disk"]

    assert found.level is Level.FAIL
    assert "IEXEC_WORKER_MIN_FREE_DISK_GB" in found.fact


async def test_a_folder_that_cannot_be_one_is_told(applicant: Applicant, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = await applicant.check(IEXEC_WORKER_BASE_DIR=str(tmp_path / "file" / "tasks"))

    assert found["disk"].level is Level.FAIL
    assert "IEXEC_WORKER_BASE_DIR" in found["disk"].fix


@pytest.mark.parametrize(("ahead", "level"), [(5, Level.WARN), (60, Level.FAIL)])
async def test_a_chain_ahead_of_our_clock_is_told(
    applicant: Applicant, ahead: int, level: Level
) -> None:
    await applicant.pool.node.increase_time(ahead)
    found = await applicant.check()

    assert found["clock"].level is level
    # The scheduler's second is cut off, and may be over when it arrives.
    assert re.match(r"\+[01] s from the scheduler, -", found["clock"].fact)


async def test_a_wallet_that_others_may_read_is_a_warning(applicant: Applicant) -> None:
    applicant.wallet.path.chmod(0o644)
    found = await applicant.check()

    assert found["wallet"].level is Level.WARN
    assert found["wallet"].fix == "chmod 600 it"
    # What needs it goes on.
    assert found["login"].level is Level.OK
