"""
Secrets stay where they belong: all is run with marked ones, and whatever it says is searched.

What is searched: logs, what every command prints, what every route answers, supervision and metrics
among it, process titles, the environments of containers and of the worker's own children, files.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import attrs
import docker
import pytest
import trio
from attrs import define, field
from eth_account import Account

from iexec_worker.devpool import images
from iexec_worker.devpool.registry import registry
from iexec_worker.wire import Status
from tests.integration.moments import computing
from tests.integration.shop import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired, Place
    from tests.integration.shop import Shop

LIMIT: Final = 90

ROUTES: Final = (
    "/actuator/health?details=true",
    "/actuator/health/readiness?details=true",
    "/actuator/supervision",
    "/actuator/prometheus",
    "/actuator/info",
    "/metrics",
    "/version",
    "/nowhere",
)

#: What a password with everything in it looks like; each gets a marker of its own.
ODD: Final = 'p@ss"w/ö rd\\%s'


@define(eq=False)
class Secrets:
    """Marked secrets, by what they are; *seen* is where any of them turned up."""

    known: dict[str, str] = field(factory=dict)
    seen: list[str] = field(factory=list)

    def new(self, name: str, *, odd: bool = False) -> str:
        marker = f"marked{secrets.token_hex(12)}"
        self.known[name] = f"{ODD}{marker}" if odd else marker
        return self.known[name]

    def search(self, where: str, text: str | bytes) -> None:
        """Note every secret in *text*, in any form in which it may have been written."""
        data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        folded = data.lower()
        for name, secret in self.known.items():
            if any(form.lower() in folded for form in forms(secret)):
                self.seen.append(f"{name} in {where}")


def forms(secret: str) -> Iterable[bytes]:
    raw = secret.encode()
    # The marker alone is enough, whatever became of the rest.
    yield raw[raw.find(b"marked") :] if b"marked" in raw else raw
    yield raw.hex().encode()
    # In a longer text the first characters depend on where it begins.
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[4:-4]
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()


def test_the_search_finds_every_form() -> None:
    hunted = Secrets()
    secret = hunted.new("it", odd=True)
    user = base64.b64encode(f"alice:{secret}".encode()).decode()
    for text in (secret, repr(secret), json.dumps([secret]), quote(secret), user):
        hunted.search("there", f"… {text} …")
    assert hunted.seen == ["it in there"] * 5


# Eight commands are started one after the other, each with all its imports.
@pytest.mark.timeout(300)
async def test_no_secret_is_in_anything_that_a_worker_says(
    pool: Pool,
    agency: Agency,
    shop: Shop,
    tmp_path: Path,
) -> None:
    hunted, engine_url = Secrets(), shop.engine_url
    async with registry(tmp_path / "registry", protected=True) as private:
        image = f"{private.address}/app:1"
        await images.build(engine_url, image, images.demo_app())
        await images.push(engine_url, image, username=private.username, password=private.password)
        await images.remove(engine_url, image)
        shop = attrs.evolve(
            shop, shelf={**shop.shelf, "private": image, "wrong": "127.0.0.1:1/app:1"}
        )
        place = await _place(agency, hunted)
        environment = {
            **place.environment,
            **_environment(hunted, private.address, private.password, pool.node_url),
        }
        with trio.fail_after(LIMIT):
            worker = await agency.start(again=attrs.evolve(place, environment=environment))
            await _live(pool, worker, shop, hunted)
            await _ask(worker, hunted)
            worker.expendable = True
            worker.process.child.process.send_signal(signal.SIGTERM)
            assert await worker.process.child.process.wait() == 0
        await images.remove(engine_url, image)

    (warned,) = (e["reason"] for e in worker.events() if e["event"] == "others may use the wallet")
    assert "chmod 600" in warned
    _tokens(pool, hunted)
    hunted.search("log", worker.log.read_bytes())
    for path in worker.place.folder.rglob("*"):
        if path.is_file() and path != place.wallet.path:
            hunted.search(f"file {path.name}", path.read_bytes())
    await _commands(environment, hunted, tmp_path)
    assert hunted.seen == []


async def _place(agency: Agency, hunted: Secrets) -> Place:
    """A home whose wallet has a marked password."""
    place = await agency.place(1, {})
    keystore = json.loads(place.wallet.path.read_text())
    key = bytes(Account.decrypt(keystore, place.wallet.password))
    hunted.known["private key"] = key.hex()
    password = hunted.new("wallet password", odd=True)
    encrypted = Account.encrypt(key, password, kdf="scrypt", iterations=2)
    place.wallet.path.write_text(json.dumps(encrypted))
    # As a careless operator leaves it: that is warned about.
    place.wallet.path.chmod(0o644)
    wallet = attrs.evolve(place.wallet, password=password)
    given = {**place.environment, "IEXEC_WORKER_WALLET_PASSWORD": password}
    return attrs.evolve(place, wallet=wallet, environment=given)


def _environment(hunted: Secrets, address: str, password: str, node: str) -> Mapping[str, str]:
    """One of everything that may be secret; the first node, and the proxy, do not answer."""
    hunted.known["registry password"] = password
    login = "IEXEC_WORKER_DOCKER_REGISTRY"
    proxy = f"http://user:{quote(hunted.new('proxy password', odd=True), safe='')}@127.0.0.1:1"
    return {
        f"{login}_ADDRESS_1": address,
        f"{login}_USERNAME_1": "puller",
        f"{login}_PASSWORD_1": password,
        f"{login}_ADDRESS_2": "127.0.0.1:1",
        f"{login}_USERNAME_2": "somebody",
        f"{login}_PASSWORD_2": hunted.new("another registry's password", odd=True),
        f"{login}_USERNAME_0": "somebody",
        f"{login}_PASSWORD_0": hunted.new("password of docker.io"),
        "IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME": "somebody",
        "IEXEC_WORKER_SCONTAIN_REGISTRY_PASSWORD": hunted.new("password of Scontain"),
        "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS": (
            f"http://127.0.0.1:1/v3/{hunted.new('key of a node')},{node}"
        ),
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "IEXEC_WORKER_LOG_LEVEL": "debug",
        "IEXEC_DEVELOPER_LOGGER_ENABLED": "true",
    }


async def _live(pool: Pool, worker: Hired, shop: Shop, hunted: Secrets) -> None:
    """Let it compute, fail in several ways, and be refused by the pool."""
    # The token that it has is no good any more: it logs in again.
    pool.faults.on("POST /replicates/*/updateStatus").status(401, times=1)
    pool.faults.on("GET /replicates/available").status(503, times=2)
    good = await shop.buy(Order("sleep=3", image="private"))
    await computing(pool, worker, good.task_id)
    await trio.to_thread.run_sync(partial(_look_at_processes, worker, hunted))
    await trio.to_thread.run_sync(partial(_look_at_containers, worker, good.task_id, hunted))
    await _ask(worker, hunted)
    (await shop.over(good, worker.wallet)).completed()

    refused = await shop.over(await shop.buy(Order(image="wrong")), worker.wallet)
    assert Status.APP_DOWNLOAD_FAILED in refused.told
    await _through_the_proxy(shop, worker)


async def _through_the_proxy(shop: Shop, worker: Hired) -> None:
    """An input of a public name, which the proxy that is not there would have to get."""
    more = (("iexec_input_files", ["http://files.example/file"]),)
    ended = await shop.over(await shop.buy(Order(more=more)), worker.wallet)
    assert Status.DATA_DOWNLOAD_FAILED in ended.told


async def _ask(worker: Hired, hunted: Secrets) -> None:
    for route in ROUTES:
        answer = await worker.get(route)
        hunted.search(route, answer.content + repr(answer.headers).encode())


def _look_at_processes(worker: Hired, hunted: Secrets) -> None:
    """Titles of the worker, titles and environments of its children; its own is the operator's."""
    pid = worker.process.child.process.pid
    for process in _family(pid):
        for name in ("cmdline", "comm", "status"):
            hunted.search(f"{name} of a process", _read(process / name))
        if process.name != str(pid):
            hunted.search("environment of a child", _read(process / "environ"))


def _family(pid: int) -> list[Path]:
    children = _read(Path(f"/proc/{pid}/task/{pid}/children")).split()
    return [Path(f"/proc/{pid}"), *(path for child in children for path in _family(int(child)))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended


def _look_at_containers(worker: Hired, task_id: str, hunted: Secrets) -> None:
    client = docker.APIClient(base_url=worker.engine_url, timeout=20)
    try:
        for name in worker.containers(task_id):
            hunted.search("container", json.dumps(client.inspect_container(name)))
    finally:
        client.close()


def _tokens(pool: Pool, hunted: Secrets) -> None:
    """What the worker authorized itself with: as good as a password while it lasts."""
    headers = [exchange.headers.items() for exchange in pool.record.exchanges]
    sent = {
        v.rpartition(" ")[2] for some in headers for k, v in some if k.lower() == "authorization"
    }
    assert sent
    hunted.known |= {f"token {number}": token for number, token in enumerate(sorted(sent))}


async def _commands(environment: Mapping[str, str], hunted: Secrets, tmp_path: Path) -> None:
    """Every command, and `run` with what it cannot work with."""
    wrong = hunted.new("a wrong password")
    broken = {
        "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS": f"ftp://x/{hunted.new('bad node')}",
        "HTTP_PROXY": f"http://user:{hunted.new('password of a bad proxy')}@[bad",
        "IEXEC_WORKER_WALLET_PASSWORD_FILE": "/nowhere",
    }
    new = {"IEXEC_WORKER_WALLET_PATH": str(tmp_path / "new.json")}
    for words, changes in (
        (["config"], {}),
        (["config", "--json"], {}),
        (["check"], {}),
        (["wallet", "address"], {}),
        (["wallet", "new"], new),
        (["run"], {"IEXEC_WORKER_WALLET_PASSWORD": wrong}),
        (["run"], broken),
        (["config"], broken),
    ):
        command = [sys.executable, "-m", "iexec_worker", *words]
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = await trio.run_process(
            command,
            env={**base, **environment, **changes},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        hunted.search(" ".join(words), done.stdout + done.stderr)
