from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from iexec_worker.devpool.http import spring
from iexec_worker.devpool.http.faults import Faults
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio
    from quart import Response


@pytest.fixture
async def service(nursery: trio.Nursery) -> Service:
    app = spring.make_app("test")
    handled: list[bytes] = []
    app.config["handled"] = handled

    @app.post("/things/<name>")
    async def thing(name: str) -> Response:
        handled.append(await spring.payload())
        return spring.text(name)

    service = Service("test", app, Faults(), Record())
    await nursery.start(service.run)
    return service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    base_url = f"http://127.0.0.1:{service.port}"
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, verify=False) as client:
        yield client


async def test_requests_are_answered_and_recorded(
    service: Service, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/things/a?b=c", content=b"body")

    assert (answer.status_code, answer.text) == (200, "a")
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    (call,) = service.record.calls("POST /things/*")
    assert (call.status, call.query, bytes(call.body)) == (200, "b=c", b"body")


async def test_unknown_routes_and_methods_get_springs_errors(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nothing")
    wrong = await client.get("/things/a")

    assert missing.status_code == 404
    assert missing.json()["path"] == "/nothing"
    assert missing.json().keys() == {"timestamp", "status", "error", "path"}
    assert (wrong.status_code, wrong.json()["error"]) == (405, "Method Not Allowed")
    assert "POST" in wrong.headers["allow"]


async def test_a_status_fault_lasts_for_the_calls_it_was_asked_for(
    service: Service, client: httpx.AsyncClient
) -> None:
    fault = service.faults.on("POST /things/*").status(503, times=2)

    codes = [(await client.post("/things/a", content=b"x")).status_code for _ in range(3)]

    assert codes == [503, 503, 200]
    assert fault.hits == 2
    assert service.app.config["handled"] == [b"x"]


async def test_a_reset_breaks_the_connection_without_an_answer(
    service: Service, client: httpx.AsyncClient
) -> None:
    service.faults.on("POST /things/a").reset(times=1)

    with pytest.raises(httpx.TransportError):
        await client.post("/things/a")
    assert service.app.config["handled"] == []
    assert (await client.post("/things/a")).status_code == 200


async def test_a_lost_answer_was_handled(service: Service, client: httpx.AsyncClient) -> None:
    service.faults.on("POST /things/a").lose_answer(times=1)

    with pytest.raises(httpx.TransportError):
        await client.post("/things/a", content=b"once")
    assert service.app.config["handled"] == [b"once"]


async def test_a_hanging_endpoint_hangs_until_the_client_leaves(
    service: Service, client: httpx.AsyncClient
) -> None:
    fault = service.faults.on("POST /things/a").hang()

    with pytest.raises(httpx.ReadTimeout):
        await client.post("/things/a", timeout=0.1)
    fault.off()
    assert (await client.post("/things/a")).status_code == 200


async def test_a_late_answer_was_handled_at_once(
    service: Service, client: httpx.AsyncClient
) -> None:
    service.faults.on("POST /things/a").delay_answer(30)

    with pytest.raises(httpx.ReadTimeout):
        await client.post("/things/a", content=b"once", timeout=0.2)
    assert service.app.config["handled"] == [b"once"]


async def test_offline_refuses_and_comes_back_on_the_same_port(
    service: Service, client: httpx.AsyncClient
) -> None:
    port = service.port
    await client.post("/things/a")

    async with service.front.offline():
        with pytest.raises(httpx.TransportError):
            await client.post("/things/a")
        with pytest.raises(httpx.ConnectError):
            await client.post("/things/a")

    assert (await client.post("/things/a")).status_code == 200
    assert service.port == port
