"""What a worker is before, while and after it joins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import docker
import trio

from iexec_worker.engine.networks.apps import NAME
from iexec_worker.engine.networks.firewall import Firewall
from iexec_worker.errors import EngineRefused
from tests.integration.moments import computing
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency
    from tests.integration.shop import Shop

#: The capabilities that README promises to leave to an app's root user.
KEPT: Final = {
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"),
    *("KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"),
}


async def test_a_worker_is_healthy_at_once_and_ready_when_it_is_registered(
    pool: Pool, agency: Agency
) -> None:
    refusing = pool.faults.on("POST /workers/register").status(503)
    worker = await agency.start()
    with trio.fail_after(20):
        await refusing.hit()

    for path in ("/actuator/health", "/actuator/health/liveness"):
        answer = await worker.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "UP"})
    before = await worker.get("/actuator/health/readiness?details=true")
    assert (before.status_code, before.json()["status"]) == (503, "OUT_OF_SERVICE")
    assert before.json()["components"]["scheduler"]["status"] == "OUT_OF_SERVICE"

    refusing.off()
    await worker.ready()
    after = await worker.get("/actuator/health/readiness")
    assert (after.status_code, after.json()) == (200, {"status": "UP"})


async def test_a_task_is_completed_with_all_limits_though_nobody_set_any(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    worker = await agency.start()
    bought = await shop.buy(Order("sleep=2"))
    with trio.fail_after(40):
        await computing(pool, worker, bought.task_id)
        (name,) = worker.containers(bought.task_id)
        machine, host = await trio.to_thread.run_sync(_confinement, worker.engine_url, name)
        ended = await shop.over(bought, worker.wallet)
    ended.completed()

    memory = machine["MemTotal"] * 80 // 100
    assert host["Memory"] == host["MemorySwap"] == memory
    # One is left for the engine and the worker.
    assert host["NanoCpus"] == max(machine["NCPU"] - 1, 1) * 10**9
    assert (host["PidsLimit"], host["OomScoreAdj"]) == (4096, 500)
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]}
    assert limits == {"core": (0, 0), "nofile": (65_536, 65_536)}
    assert host["CapDrop"] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == KEPT
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Privileged"], host["IpcMode"]) == (False, "private")
    log = {"max-size": str(512 * 1024**2), "max-file": "2"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": log}
    assert host["NetworkMode"] == (NAME if await _is_changeable() else "bridge")
    # Its wallet is nobody else's.
    assert not [event for event in worker.events() if "wallet" in event["event"]]


def _confinement(engine_url: str, container: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the engine says of its machine, and what it was told of the container."""
    client = docker.APIClient(base_url=engine_url, timeout=20)
    try:
        return client.info(), client.inspect_container(container)["HostConfig"]
    finally:
        client.close()


async def _is_changeable() -> bool:
    """True iff the firewall can be changed from here."""
    try:
        await Firewall.find()
    except EngineRefused:
        return False
    return True
