"""SCONE and Gramine: what they ask before a task starts, and what its containers are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import Declined, Rejected, StageFailed, Unavailable
from iexec_worker.model import TeeFramework
from iexec_worker.tee.gramine import Gramine
from iexec_worker.tee.model import Part, Service, Services, TeeState
from iexec_worker.tee.scone import Scone
from iexec_worker.tee.sgx_services import SgxServices
from iexec_worker.wire import Cause
from tests.tee.conftest import PROPERTIES
from tests.tee.kit import SESSION, Course, Host, Las, Shelf, task, tee

if TYPE_CHECKING:
    from iexec_worker.config import Tee
    from iexec_worker.errors import WorkerError
    from iexec_worker.model import TaskDescription
    from iexec_worker.tee.framework import Framework
    from iexec_worker.tee.sms import Sms
    from tests.tee.conftest import Server

SCONE, GRAMINE = TeeFramework.SCONE, TeeFramework.GRAMINE
NOWHERE = Path("/nowhere")

STATE = TeeState(
    Services(
        pre=Service("pre:1", "", "python3 '/a b.py'", 111),
        post=Service("post:1", "", "", 222),
        app=Service("app:1", "", "node /app/app.js", 333),
        las_image="registry.example/las:5",
    ),
    SESSION,
)


@pytest.fixture
def course() -> Course:
    return Course()


def services(framework: TeeFramework, shelf: Shelf, most: int = 10_000) -> SgxServices:
    images: Any = shelf
    return SgxServices(framework, images, most, patience=0.01)


def scone(
    course: Course,
    shelf: Shelf | None = None,
    las: Las | None = None,
    variables: dict[str, str] | None = None,
) -> Scone:
    host: Any = Host()
    shared: Any = las or Las(course)
    found = services(SCONE, shelf or Shelf(course))
    return Scone(found, host, shared, tee(**variables or {}))


def gramine(course: Course, variables: dict[str, str] | None = None) -> Gramine:
    host: Any = Host()
    return Gramine(services(GRAMINE, Shelf(course)), host, tee(**variables or {}))


def offer(server: Server, framework: TeeFramework) -> None:
    """Let the SMS be one of *framework*."""
    server.answer("GET /tee/framework", framework.name)
    server.answer(f"GET /tee/properties/{framework.name}/v5", PROPERTIES)


async def prepare(framework: Framework, wanted: TaskDescription, sms: Sms, course: Course) -> Any:  # noqa: ANN401 - the state
    return await framework.prepare(wanted, sms, NOWHERE, course.open_session, course.show)


async def cause_of(framework: Framework, wanted: TaskDescription, sms: Sms) -> Cause:
    course = Course()
    with pytest.raises(StageFailed) as failed:
        await prepare(framework, wanted, sms, course)
    assert "session" not in course.steps
    return failed.value.cause


async def test_scone_asks_sms_images_and_las_before_a_session(
    server: Server, sms: Sms, course: Course
) -> None:
    offer(server, SCONE)

    state = await prepare(scone(course), task(SCONE), sms, course)

    assert server.asked == ["GET /tee/framework", "GET /tee/properties/SCONE/v5"]
    assert course.steps[0].startswith("asking the SMS http://127.0.0.1")
    las = f"las {PROPERTIES['lasImage']}"
    assert course.steps[1:] == ["image pre:1", "image post:1", las, "session"]
    assert state.session == SESSION
    assert state.services.app == Service("app:1", 64 * "f", "node /app/app.js", 7_000)


async def test_gramine_needs_no_las(server: Server, sms: Sms, course: Course) -> None:
    offer(server, GRAMINE)

    state = await prepare(gramine(course), task(GRAMINE, heapSize=0), sms, course)

    assert course.steps[1:] == ["image pre:1", "image post:1", "session"]
    assert state.services.post.image == "post:1"


@pytest.mark.parametrize(
    ("enclave", "cause"),
    [
        ({"extra": 1}, Cause.PRE_COMPUTE_MISSING_ENCLAVE_CONFIGURATION),
        ({"fingerprint": "f"}, Cause.PRE_COMPUTE_INVALID_ENCLAVE_CONFIGURATION),
        ({"heapSize": 10_001}, Cause.PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION),
    ],
)
@pytest.mark.parametrize("framework", [SCONE, GRAMINE])
async def test_an_enclave_that_cannot_run_is_told_before_anybody_is_asked(
    server: Server, sms: Sms, framework: TeeFramework, enclave: dict[str, Any], cause: Cause
) -> None:
    course = Course()
    made = scone(course) if framework is SCONE else gramine(course)

    assert await cause_of(made, task(framework, **enclave), sms) is cause
    assert server.seen == []


async def test_an_sms_of_another_framework_is_none(server: Server, sms: Sms) -> None:
    offer(server, GRAMINE)

    cause = await cause_of(scone(Course()), task(SCONE), sms)

    assert cause is Cause.GET_TEE_SERVICES_CONFIGURATION_FAILED
    assert server.asked == ["GET /tee/framework"]


@pytest.mark.parametrize(
    "properties", [404, 409, 401, 500, {}, {**PROPERTIES, "preComputeProperties": {"image": ""}}]
)
async def test_an_sms_without_properties_is_none(
    server: Server, sms: Sms, properties: object
) -> None:
    server.answer("GET /tee/properties/SCONE/v5", properties)

    cause = await cause_of(scone(Course()), task(SCONE), sms)

    assert cause is Cause.GET_TEE_SERVICES_CONFIGURATION_FAILED


async def test_an_sms_that_stays_away_is_none(sms: Sms) -> None:
    away = attrs.evolve(sms, url="http://127.0.0.1:1")

    cause = await cause_of(scone(Course()), task(SCONE), away)

    assert cause is Cause.GET_TEE_SERVICES_CONFIGURATION_FAILED


@pytest.mark.slow
async def test_an_sms_that_is_only_restarting_is_asked_again(
    server: Server, sms: Sms, course: Course
) -> None:
    server.answer("GET /tee/framework", 503, "SCONE")
    patient = scone(course)
    patient = attrs.evolve(patient, services=attrs.evolve(patient.services, patience=10))

    assert (await prepare(patient, task(SCONE), sms, course)).session == SESSION


@pytest.mark.parametrize("error", [Rejected, Declined])
@pytest.mark.parametrize("missing", ["pre:1", "post:1"])
async def test_an_image_that_cannot_be_had_is_a_cause(
    server: Server, sms: Sms, missing: str, error: type[WorkerError]
) -> None:
    shelf = Shelf(Course(), (missing,), error)

    cause = await cause_of(scone(Course(), shelf), task(SCONE), sms)

    assert cause is Cause.GET_TEE_SERVICES_CONFIGURATION_FAILED


async def test_an_engine_that_is_away_is_no_cause(server: Server, sms: Sms, course: Course) -> None:
    shelf = Shelf(course, ("pre:1",), Unavailable)

    with pytest.raises(Unavailable):
        await prepare(scone(course, shelf), task(SCONE), sms, course)


@pytest.mark.parametrize("error", [Rejected("of another registry"), Declined("too large")])
async def test_without_a_las_scone_is_not_prepared(
    server: Server, sms: Sms, error: WorkerError
) -> None:
    las = Las(Course(), error)

    cause = await cause_of(scone(Course(), las=las), task(SCONE), sms)

    assert cause is Cause.TEE_PREPARATION_FAILED


async def test_a_session_that_is_refused_keeps_its_cause(
    server: Server, sms: Sms, course: Course
) -> None:
    course.trouble = StageFailed(Cause.TEE_SESSION_GENERATION_NO_TASK_DESCRIPTION)

    with pytest.raises(StageFailed) as failed:
        await prepare(scone(course), task(SCONE), sms, course)

    assert failed.value.cause is Cause.TEE_SESSION_GENERATION_NO_TASK_DESCRIPTION


def spec() -> ContainerSpec:
    return ContainerSpec(
        "name", "image:1", entrypoint=("image's",), binds={"/in": "/iexec_in"}, network="net"
    )


SCONE_ENV = {
    "SCONE_CAS_ADDR": "cas.example:4321",
    "SCONE_LAS_ADDR": "las-of-las:5:18766",
    "SCONE_LOG": "debug",
    "SCONE_VERSION": "1",
}


@pytest.mark.parametrize(
    ("part", "config_id", "heap", "entrypoint"),
    [
        (Part.PRE, "abc0000/pre-compute", "111", ("python3", "/a b.py")),
        (Part.APP, "abc0000/app", "333", ("image's",)),
        (Part.POST, "abc0000/post-compute", "222", ()),
    ],
)
async def test_enclaves_of_scone_are_told_where_to_be_configured(
    course: Course, part: Part, config_id: str, heap: str, entrypoint: tuple[str, ...]
) -> None:
    dressed = await scone(course).container(spec(), part, STATE)

    assert dressed.env == {**SCONE_ENV, "SCONE_CONFIG_ID": config_id, "SCONE_HEAP": heap}
    assert dressed.entrypoint == entrypoint
    assert dressed.devices == ("/host/one:/dev/one", "/host/two:/dev/two")
    assert dressed.binds == {"/in": "/iexec_in"}
    assert (dressed.name, dressed.image, dressed.network) == ("name", "image:1", "net")


async def test_scones_variables_follow_the_operators(course: Course) -> None:
    wanted = {"SCONE_SHOW_VERSION": "false", "SCONE_LOG_LEVEL": "7", "LAS_PORT": "99"}
    made = scone(course, variables=wanted)

    env = (await made.container(spec(), Part.APP, STATE)).env

    assert (env["SCONE_VERSION"], env["SCONE_LOG"]) == ("0", "7")
    assert env["SCONE_LAS_ADDR"].endswith(":99")


async def test_the_las_is_asked_for_again_with_each_container(course: Course) -> None:
    made = scone(course, las=Las(course, Rejected("it does not start")))

    with pytest.raises(StageFailed) as failed:
        await made.container(spec(), Part.POST, STATE)

    assert failed.value.cause is Cause.TEE_PREPARATION_FAILED


async def test_the_pull_of_a_las_has_the_limit_of_an_apps(
    server: Server, sms: Sms, course: Course
) -> None:
    las = Las(course)
    longer = attrs.evolve(task(SCONE), time_reference=300.0)

    await prepare(scone(course, las=las), longer, sms, course)

    assert las.limits == [420.0]


@pytest.mark.parametrize("part", Part)
async def test_enclaves_of_gramine_are_told_their_session(course: Course, part: Part) -> None:
    dressed = await gramine(course).container(spec(), part, STATE)

    assert dressed.env == {"sps": "cas.example:4321", "session": "abc0000"}
    assert dressed.devices == ("/host/one:/dev/one", "/host/two:/dev/two")
    socket = {} if part is Part.PRE else {"/host/aesm.socket": "/var/run/aesmd/aesm.socket"}
    assert dressed.binds == {"/in": "/iexec_in", **socket}


@pytest.mark.parametrize("part", Part)
async def test_extra_hosts_are_for_pre_and_post_compute(course: Course, part: Part) -> None:
    before = attrs.evolve(spec(), extra_hosts={"worker": "172.18.0.1"})
    operators = {"WORKER_TEE_EXTRA_HOSTS": "cas.example:192.0.2.7"}

    for made in (scone(course, variables=operators), gramine(course, operators)):
        dressed = await made.container(before, part, STATE)
        extra = {} if part is Part.APP else {"cas.example": "192.0.2.7"}
        assert dressed.extra_hosts == {"worker": "172.18.0.1", **extra}


def test_the_largest_heap_is_in_gb() -> None:
    config: Tee = tee(WORKER_TEE_COMPUTE_MAX_HEAP_SIZE_GB="3")

    assert config.max_heap == 3 * 1024**3
