from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.model import ChainReceipt, ComputeLogs, StatusUpdate, WorkerModel
from iexec_worker.scheduler.api import SchedulerApi
from iexec_worker.scheduler.config_server import chain_config
from iexec_worker.scheduler.exchange import Refused
from iexec_worker.wire import Action, Cause, Status
from tests.scheduler.conftest import TASK, WALLET, FakeRest, Reply, ServeRaw

if TYPE_CHECKING:
    import trio

JSON = "application/json"
UPDATE = f"/replicates/{TASK}/updateStatus"
HTML = Reply(200, "<!DOCTYPE html>\n<html><title>Welcome to nginx</title></html>", "text/html")


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", JSON])
async def test_text_is_raw_whatever_its_content_type(
    rest: FakeRest, api: SchedulerApi, kind: str
) -> None:
    rest.on("/version", Reply(200, "9.3.0", kind))

    assert await api.version() == "9.3.0"


async def test_login_sends_the_wallet_and_the_signature(rest: FakeRest, api: SchedulerApi) -> None:
    assert await api.login(WALLET, "0x12") == "token-1"

    (call,) = rest.calls
    assert (call.method, call.query, call.body) == (
        "POST",
        {"walletAddress": WALLET},
        {"value": "0x12"},
    )


async def test_authorized_calls_bear_the_token(rest: FakeRest, api: SchedulerApi) -> None:
    rest.on("/workers/ping", "0x12")

    await api.ping("abc")

    assert rest.calls[0].token == "Bearer abc"


async def test_register_sends_the_model_in_the_pools_spelling(
    rest: FakeRest, api: SchedulerApi
) -> None:
    rest.on("/workers/register", Reply(200, '{"id": "1", "unknown": null}', JSON))

    await api.register("t", WorkerModel("me", WALLET, "Linux", "amd64", 3, 16, False, False, True))

    assert rest.calls[0].body == {
        "name": "me",
        "walletAddress": WALLET,
        "os": "Linux",
        "cpu": "amd64",
        "cpuNb": 3,
        "memorySize": 16,
        "gpuEnabled": False,
        "teeEnabled": False,
        "tdxEnabled": True,
    }


@pytest.mark.parametrize("reply", [204, 200])
async def test_no_work_is_no_offer(rest: FakeRest, api: SchedulerApi, reply: int) -> None:
    rest.on("/replicates/available", reply)

    assert await api.available("t", 7) is None
    assert rest.calls[0].query == {"blockNumber": "7"}


@pytest.mark.parametrize(
    ("reply", "code", "action"),
    [
        (Reply(200, '"PLEASE_CONTINUE"', JSON), 200, Action.PLEASE_CONTINUE),
        (Reply(200), 200, None),
        (Reply(200, "null", JSON), 200, None),
        (Reply(202, '"PLEASE_ABORT"', JSON), 202, Action.PLEASE_ABORT),
        (Reply(208, '"PLEASE_WAIT"', JSON), 208, Action.PLEASE_WAIT),
    ],
)
async def test_answers_to_an_update_keep_their_code(
    rest: FakeRest, api: SchedulerApi, reply: Reply, code: int, action: Action | None
) -> None:
    rest.on(UPDATE, reply)

    answer = await api.update("t", TASK, StatusUpdate(Status.STARTED))

    assert (answer.code, answer.action) == (code, action)
    assert (answer.refused, answer.known_before) == (code == 202, code == 208)


async def test_an_unknown_action_is_recorded_and_warned_of(
    rest: FakeRest, api: SchedulerApi
) -> None:
    rest.on(UPDATE, Reply(200, '"PLEASE_DANCE"', JSON))

    with capture_logs() as logs:
        answer = await api.update("t", TASK, StatusUpdate(Status.STARTED))

    assert (answer.code, answer.action) == (200, None)
    assert [(line["log_level"], line["action"]) for line in logs] == [("warning", "'PLEASE_DANCE'")]


async def test_an_update_sends_only_the_details_it_has(rest: FakeRest, api: SchedulerApi) -> None:
    rest.on(UPDATE, 200)

    await api.update("t", TASK, StatusUpdate(Status.STARTED))
    await api.update(
        "t",
        TASK,
        StatusUpdate(
            Status.COMPUTED,
            cause=Cause.UNKNOWN,
            exit_code=0,
            compute_logs=ComputeLogs("out", "err"),
            chain_receipt=ChainReceipt(7, "0x1"),
            result_link="",
            chain_callback_data="0x2",
        ),
    )

    assert [call.body for call in rest.calls] == [
        {"status": "STARTED"},
        {
            "status": "COMPUTED",
            "details": {
                "cause": "UNKNOWN",
                "exitCode": 0,
                "computeLogs": {"stdout": "out", "stderr": "err"},
                "chainReceipt": {"blockNumber": 7, "txHash": "0x1"},
                "resultLink": "",
                "chainCallbackData": "0x2",
            },
        },
    ]


async def test_an_update_may_take_more_than_two_minutes_and_a_ping_may_not() -> None:
    seen: dict[str, float] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.path] = request.extensions["timeout"]["read"]
        return httpx.Response(200, text='"PLEASE_WAIT"')

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        api = SchedulerApi(client, "http://pool")
        await api.update("t", TASK, StatusUpdate(Status.CONTRIBUTED))
        await api.version()

    assert seen[UPDATE] > 120
    assert seen["/version"] <= 30


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, Unauthorized),
        (400, Rejected),
        (404, Rejected),
        (302, Unavailable),
        (408, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_a_status_means_one_reaction(
    rest: FakeRest, api: SchedulerApi, code: int, error: type[Exception]
) -> None:
    rest.on("/version", code)

    with pytest.raises(error, match=str(code)):
        await api.version()


async def test_a_refusal_knows_its_status_and_quotes_the_reason(
    rest: FakeRest, api: SchedulerApi
) -> None:
    rest.on("/version", Reply(400, '{"error":"Bad\nRequest \x1b[31m"}', JSON))

    with pytest.raises(Refused, match=r"Bad Request \\x1b\[31m") as caught:
        await api.version()

    assert caught.value.status == 400


async def test_html_is_no_answer_to_anything(rest: FakeRest, api: SchedulerApi) -> None:
    paths = ("/version", "/workers/config", "/workers/challenge", "/replicates/available")
    for path in (*paths, "/config/chain"):
        rest.on(path, HTML)

    for call in (
        api.version(),
        api.config(),
        api.challenge(WALLET),
        api.available("t", 1),
        chain_config(api.client, rest.url),
    ):
        with pytest.raises(Unavailable, match=r"HTML instead of .* nginx") as caught:
            await call
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " \n", "two\nlines", "tök", "x" * 9000, "a\0b"])
async def test_text_that_is_no_token_is_no_answer(
    rest: FakeRest, api: SchedulerApi, text: str
) -> None:
    rest.on("/workers/login", text)

    with pytest.raises(Unavailable, match="instead of one line of text"):
        await api.login(WALLET, "0x")


@pytest.mark.parametrize("body", ["{", "[" * 50_000, "[]", '{"workerpoolAuthorization": 1}', '"x"'])
async def test_an_offer_that_cannot_be_read_is_no_answer(
    rest: FakeRest, api: SchedulerApi, body: str
) -> None:
    rest.on("/replicates/available", Reply(200, body, JSON))

    with pytest.raises(Unavailable):
        await api.available("t", 1)


async def test_nobody_listening_says_so(client: httpx.AsyncClient) -> None:
    with pytest.raises(Unavailable, match="ConnectError"):
        await SchedulerApi(client, "http://127.0.0.1:1").version()


async def test_a_url_that_is_none_says_so(client: httpx.AsyncClient) -> None:
    with pytest.raises(Unavailable, match=r"InvalidURL|UnsupportedProtocol"):
        await SchedulerApi(client, "core:13000").version()


async def test_a_connection_that_breaks_within_the_answer_is_unavailable(
    client: httpx.AsyncClient, serve_raw: ServeRaw
) -> None:
    async def answer_half(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n9.3")
        await stream.aclose()

    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        await SchedulerApi(client, await serve_raw(answer_half)).version()


async def test_the_tasks_that_compute(rest: FakeRest, api: SchedulerApi) -> None:
    rest.on("/workers/computing", Reply(200, json.dumps([TASK]), JSON), "[]", '"x"')

    assert await api.computing("t") == (TASK,)
    assert await api.computing("t") == ()
    with pytest.raises(Unavailable, match="cannot be read"):
        await api.computing("t")


async def test_a_pool_without_a_config_server_is_refused(client: httpx.AsyncClient) -> None:
    with pytest.raises(Rejected, match="configServerUrl"):
        await chain_config(client, "")


async def test_the_config_server_names_the_chain(rest: FakeRest, client: httpx.AsyncClient) -> None:
    body = {
        "chainId": 134,
        "sidechain": True,
        "chainNodeUrl": "http://node",
        "iexecHubContractAddress": "0xAB",
        "blockTime": "PT5S",
    }
    rest.on("/config/chain", json.dumps(body), json.dumps(body | {"blockTime": "soon"}))

    config = await chain_config(client, rest.url)
    assert (config.chain_id, config.hub_address, config.block_time) == (134, "0xab", 5.0)
    with pytest.raises(Unavailable, match="blockTime 'soon'"):
        await chain_config(client, rest.url)
