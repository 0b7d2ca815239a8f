"""TDX: the agent, the session that it writes down, and what containers are given of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import Rejected, StageFailed, Unavailable
from iexec_worker.model import DealParams
from iexec_worker.tee.agent import Agent
from iexec_worker.tee.model import Part
from iexec_worker.tee.tdx import Tdx
from iexec_worker.wire import Cause
from tests.samples import TASK, description
from tests.tee.kit import SESSION, Course, Shelf, tee

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from iexec_worker.tee.model import TeeState

KEY = "0x" + 64 * "7"

FAILED = Cause.TEE_SESSION_GENERATION_SECURE_SESSION_STORAGE_CALL_FAILED


def service(name: str, **env: object) -> dict[str, object]:
    return {
        "name": name,
        "image_name": f"{name}:1",
        "fingerprint": f"f-{name}",
        "environment": env,
    }


SERVICES = [
    service("pre-compute", IS_DATASET_REQUIRED="true"),
    service("app", IEXEC_BOT_SIZE=1),
    service("post-compute", SIGN_TEE_CHALLENGE_PRIVATE_KEY=KEY),
]


def document(*services: object) -> str:
    return json.dumps({"name": "abc0000", "version": "v1", "services": services or SERVICES})


#: What the agent does with its arguments: writes the session to the file that `-s` names.
WRITE = 'printf "%s " "$@"; while [ "$1" != -s ]; do shift; done; cat ../given > "$2"'


class Machine:
    """A machine with an agent, a task's folder, and images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "task"
        self.given = folder / "given"
        self.program = folder / "agent"
        self.course = Course()
        self.shelf = Shelf(self.course)
        self.limit = 20.0
        self.given.write_text(document())
        self.does(WRITE)

    def does(self, text: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{text}\n")
        self.program.chmod(0o755)

    def tdx(self, **variables: str) -> Tdx:
        images: Any = self.shelf
        return Tdx(Agent(self.program, self.limit), images, tee(**variables))

    async def prepare(self, **changes: Any) -> TeeState:  # noqa: ANN401 - fields of a task
        sms: Any = None
        course = self.course
        task = description(**changes)
        return await self.tdx().prepare(task, sms, self.folder, course.open_session, course.show)

    async def message(self, **changes: Any) -> str:  # noqa: ANN401 - fields of a task
        """Prepare in vain; return why it is."""
        with pytest.raises(StageFailed) as failed:
            await self.prepare(**changes)
        assert failed.value.cause is FAILED
        return str(failed.value)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_the_agent_is_asked_after_the_session_and_before_the_images(
    machine: Machine, log_events: list[MutableMapping[str, Any]]
) -> None:
    state = await machine.prepare()

    assert state.session == SESSION
    assert machine.course.steps == [
        "session",
        "fetching the session's secrets",
        "image pre-compute:1",
        "image post-compute:1",
    ]
    assert state.services.pre.env == {"IS_DATASET_REQUIRED": "true"}
    assert state.services.app is not None
    assert state.services.app.env == {"IEXEC_BOT_SIZE": "1"}
    assert state.services.post.fingerprint == "f-post-compute"
    (said,) = [event["line"] for event in log_events if event["event"] == "TDX agent"]
    assert said == f"-e cas.example:4321 -i *** -s session-{TASK}.json -v nullverifier"


async def test_no_secret_stays_on_the_disk_or_in_the_log(
    machine: Machine, log_events: list[MutableMapping[str, Any]]
) -> None:
    machine.does(f"{WRITE}; cat ../given; exit 1")

    assert "exited 1" in await machine.message()

    assert list(machine.folder.iterdir()) == []
    assert len([event for event in log_events if event["event"] == "TDX agent"]) == 1
    assert KEY not in str(log_events)


async def test_a_session_of_an_earlier_try_is_not_taken(machine: Machine) -> None:
    machine.folder.mkdir()
    (machine.folder / f"session-{TASK}.json").write_text(document())
    machine.does("exit 0")

    assert "left no session" in await machine.message()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "[]",
        "{}",
        '{"services": null}',
        '{"services": [1]}',
        document(service("app"), service("pre-compute")),
        document(service("post-compute"), service("pre-compute")),
        document(*SERVICES, {**service("other"), "image_name": ""}),
        document(*SERVICES, {**service("other"), "environment": [1]}),
        document(*SERVICES, service("other", list=[1])),
        document(*SERVICES, {**service("other"), "environment": {"a=b": "c"}}),
        f'{{"services": "{2 * 1024**2 * "x"}"}}',
    ],
)
async def test_what_is_no_session_is_a_cause_that_shows_nothing_of_it(
    machine: Machine, given: str
) -> None:
    machine.given.write_text(given)

    message = await machine.message()

    assert "exited 0, and left no session" in message
    assert len(message) < 300


async def test_an_agent_that_is_missing_is_a_clear_cause(machine: Machine) -> None:
    machine.program.unlink()

    message = await machine.message()

    assert f"{machine.program} cannot be run (No such file or directory): install it" in message
    assert "IEXEC_WORKER_TDX_AGENT" in message


async def test_an_agent_that_hangs_is_stopped_at_its_limit(machine: Machine) -> None:
    machine.does("exec sleep 600")
    machine.limit = 0.1

    with trio.fail_after(10):
        assert "stopped at its time limit" in await machine.message()


async def test_a_session_without_pre_compute_is_fine_when_nothing_is_to_be_fetched(
    machine: Machine,
) -> None:
    machine.given.write_text(document(*SERVICES[1:]))

    assert (await machine.prepare()).services.pre.image == ""
    assert "image " not in machine.course.steps


@pytest.mark.parametrize(
    "inputs",
    [
        {"params": DealParams(input_files=("http://a.test/file",))},
        {"params": DealParams(bulk_cid="Qm")},
        {"dataset_address": "0x" + 40 * "d", "dataset_uri": "http://a.test/data"},
    ],
)
async def test_a_session_without_pre_compute_is_none_for_a_task_with_inputs(
    machine: Machine, inputs: dict[str, Any]
) -> None:
    machine.given.write_text(document(*SERVICES[1:]))

    assert "no pre-compute" in await machine.message(**inputs)


async def test_an_image_that_is_missing_is_for_its_own_stage_to_tell(
    machine: Machine, log_events: list[MutableMapping[str, Any]]
) -> None:
    machine.shelf.missing, machine.shelf.error = ("pre-compute:1",), Rejected

    state = await machine.prepare()

    assert state.services.pre.image == "pre-compute:1"
    assert "image of a TDX task not pulled" in {event["event"] for event in log_events}


async def test_an_engine_that_is_away_is_no_cause(machine: Machine) -> None:
    machine.shelf.missing, machine.shelf.error = ("pre-compute:1",), Unavailable

    with pytest.raises(Unavailable):
        await machine.prepare()


@pytest.mark.parametrize("part", Part)
async def test_containers_have_the_environment_of_their_service(
    machine: Machine, part: Part
) -> None:
    state = await machine.prepare()
    spec = ContainerSpec("name", "image:1", extra_hosts={"worker": "172.18.0.1"})
    tdx = machine.tdx(WORKER_TEE_EXTRA_HOSTS="kms:192.0.2.1")

    dressed = await tdx.container(spec, part, state)

    known = state.services.of(part)
    assert known is not None
    assert dressed.env == known.env != {}
    assert (dressed.entrypoint, dressed.devices, dressed.binds) == (None, (), {})
    extra = {} if part is Part.APP else {"kms": "192.0.2.1"}
    assert dressed.extra_hosts == {"worker": "172.18.0.1", **extra}
