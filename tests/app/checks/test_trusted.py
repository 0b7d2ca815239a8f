"""Looks at what a machine has for trusted tasks."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.app.checks import machine
from iexec_worker.app.checks.facts import Facts
from iexec_worker.app.checks.finding import Odd, Wrong
from iexec_worker.app.checks.run import checks
from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import open_enclaves
from iexec_worker.app.machine import worker_model
from iexec_worker.config import Config, load
from iexec_worker.errors import Fatal
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LOGIN = {
    "IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME": "me",
    "IEXEC_WORKER_SCONTAIN_REGISTRY_PASSWORD": "secret",
}
NATIVE = {"IEXEC_WORKER_SGX_DRIVER_MODE": "NATIVE"}


def config(**variables: str) -> Config:
    return load({"POOL_ADDRESS": "0x" + 40 * "a", **variables}, cpu_count=1).config


@pytest.fixture
async def facts() -> AsyncIterator[Callable[..., Facts]]:
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients(config()))
        yield lambda **variables: Facts(config(**variables), clients, stack)


@pytest.fixture
def devices(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine with SGX devices."""
    (tmp_path / "dev/sgx").mkdir(parents=True)
    for name in ("enclave", "provision"):
        (tmp_path / "dev/sgx" / name).symlink_to("/dev/null")
    return {**NATIVE, "IEXEC_WORKER_HOST_ROOT": str(tmp_path)}


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def names(**variables: str) -> set[str]:
    return {check.name for check in checks(config(**variables))} & {"SGX", "TDX agent"}


def test_a_look_is_taken_at_what_the_operator_has(agent: Path) -> None:
    assert names() == set()
    assert names(**NATIVE) == {"SGX"}
    assert names(IEXEC_WORKER_TDX_AGENT=str(agent)) == {"TDX agent"}
    assert names(IEXEC_WORKER_TDX_AGENT="/nowhere/agent") == {"TDX agent"}


async def test_missing_devices_are_wrong(facts: Callable[..., Facts], tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="/dev/sgx/enclave and /dev/sgx/provision are missing") as wrong:
        await machine.sgx(facts(**NATIVE, IEXEC_WORKER_HOST_ROOT=str(tmp_path)))

    assert "kernel" in wrong.value.fix


async def test_a_machine_without_a_log_in_for_las_is_odd(
    facts: Callable[..., Facts], devices: dict[str, str]
) -> None:
    with pytest.raises(Odd, match=r"registry\.scontain\.com:5050: SCONE tasks fail") as odd:
        await machine.sgx(facts(**devices))

    assert "IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME" in odd.value.fix


async def test_a_machine_that_attests_nothing_is_odd_for_gramine(
    facts: Callable[..., Facts], devices: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(Odd, match=r"no socket /var/run/aesmd/aesm\.socket: Gramine tasks fail"):
        await machine.sgx(facts(**devices, **LOGIN))

    place = tmp_path / "var/run/aesmd/aesm.socket"
    place.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        fact = await machine.sgx(facts(**devices, **LOGIN))

    assert fact == "NATIVE: /dev/sgx/enclave and /dev/sgx/provision"


async def test_an_agent_that_cannot_be_run_is_wrong(
    facts: Callable[..., Facts], agent: Path
) -> None:
    here = facts(IEXEC_WORKER_TDX_AGENT=str(agent))
    assert str(agent) in await machine.tdx(here)

    await trio.Path(agent).chmod(0o644)
    with pytest.raises(Wrong, match="TDX tasks are not taken"):
        await machine.tdx(here)


def test_the_pool_is_told_what_the_machine_has(agent: Path) -> None:
    def told(**variables: str) -> tuple[bool, bool]:
        model = worker_model(config(**variables), "0x1")
        return model.tee_enabled, model.tdx_enabled

    nowhere = {"IEXEC_WORKER_TDX_AGENT": "/nowhere/agent"}
    assert told(**nowhere) == (False, False)
    assert told(**nowhere, **NATIVE) == (True, False)
    assert told(IEXEC_WORKER_TDX_AGENT=str(agent)) == (False, True)


async def test_what_can_run_here_follows_the_machine(
    facts: Callable[..., Facts], devices: dict[str, str], agent: Path
) -> None:
    cache: Any = None
    engine = facts().clients.engine
    here = {**devices, "IEXEC_WORKER_TDX_AGENT": str(agent)}

    async with open_enclaves(config(**here), engine, "0x1") as enclaves:
        assert enclaves.frameworks(cache).keys() == set(TeeFramework)
    nothing = config(IEXEC_WORKER_TDX_AGENT="/nowhere/agent")
    async with open_enclaves(nothing, engine, "0x1") as enclaves:
        assert enclaves.frameworks(cache) == {}


async def test_a_worker_whose_devices_are_missing_does_not_start(
    facts: Callable[..., Facts], tmp_path: Path
) -> None:
    engine = facts().clients.engine
    missing = config(**NATIVE, IEXEC_WORKER_HOST_ROOT=str(tmp_path))

    with pytest.raises(Fatal, match="are missing"):
        async with open_enclaves(missing, engine, "0x1"):
            pytest.fail("it started")
