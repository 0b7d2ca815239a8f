from __future__ import annotations

import base64

import attrs
import jwt
import pytest
from eth_account import Account

from iexec_worker.devpool.chain.hashing import login_hash
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from tests.devpool.scheduler.fakes import WALLET, Desk

KEY = "0x" + 64 * "1"
OWNER = Account.from_key(KEY).address.lower()
QUERY = {"walletAddress": OWNER}


async def log_in(desk: Desk) -> str:
    challenge = (await desk.client.get("/workers/challenge", params=QUERY)).text
    signed = Account.unsafe_sign_hash(login_hash(challenge), KEY).signature.hex()
    body = {"value": f"0x{signed}"}
    answer = await desk.client.post("/workers/login", params=QUERY, json=body)
    assert answer.status_code == 200
    return answer.text


async def test_a_challenge_stays_until_it_was_answered(desk: Desk) -> None:
    first = await desk.client.get("/workers/challenge", params=QUERY)
    again = await desk.client.get("/workers/challenge", params=QUERY)

    assert first.text == again.text
    assert len(base64.b64decode(first.text)) == 32
    await log_in(desk)
    assert (await desk.client.get("/workers/challenge", params=QUERY)).text != first.text


async def test_the_token_is_the_same_until_a_401(desk: Desk) -> None:
    token = await log_in(desk)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert claims["aud"] == "iExec Scheduler v9.3.0"
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (OWNER, 3600)
    assert jwt.get_unverified_header(token) == {"alg": "HS256"}
    assert await log_in(desk) == token


@pytest.mark.parametrize("settings", [SchedulerSettings(token_life=0)])
async def test_a_dead_token_is_given_out_until_it_was_refused_once(desk: Desk) -> None:
    token = await log_in(desk)
    assert await log_in(desk) == token

    header = {"Authorization": f"Bearer {token}"}
    refused = await desk.client.post("/workers/ping", headers=header)
    assert (refused.status_code, refused.content) == (401, b"")
    assert "www-authenticate" not in refused.headers
    # The clock of a token has whole seconds; that it is new shows in the cache.
    assert desk.scheduler.process.memory.tokens._cache == {}


async def test_a_bad_signature_and_a_strange_wallet_are_refused(desk: Desk) -> None:
    await desk.client.get("/workers/challenge", params=QUERY)
    for value in ("0x12", "0x" + 130 * "7", None):
        answer = await desk.client.post("/workers/login", params=QUERY, json={"value": value})
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("settings", [SchedulerSettings(whitelist=frozenset({WALLET}))])
async def test_only_the_whitelist_gets_a_challenge(desk: Desk) -> None:
    listed = await desk.client.get("/workers/challenge", params={"walletAddress": WALLET})

    assert listed.status_code == 200
    assert (await desk.client.get("/workers/challenge", params=QUERY)).status_code == 401


async def test_no_header_is_400_and_a_bad_one_401(desk: Desk) -> None:
    assert (await desk.client.post("/workers/ping")).status_code == 400
    for header in ("bearer x", "Bearer x", "x"):
        answer = await desk.client.post("/workers/ping", headers={"Authorization": header})
        assert answer.status_code == 401
    assert (await desk.client.get("/workers/challenge")).status_code == 400


async def test_a_string_is_never_quoted(desk: Desk) -> None:
    plain = await desk.client.get("/version")
    as_json = await desk.client.get("/version", headers={"Accept": "application/json"})

    assert (plain.text, plain.headers["content-type"]) == ("9.3.0", "text/plain;charset=UTF-8")
    assert (as_json.text, as_json.headers["content-type"]) == ("9.3.0", "application/json")


async def test_the_ping_changes_with_the_configuration_only(desk: Desk) -> None:
    async def ping() -> str:
        return (await desk.client.post("/workers/ping", headers=desk.token())).text

    before = await ping()
    await desk.scheduler.restart()
    assert await ping() == before
    await desk.scheduler.restart(attrs.evolve(desk.scheduler.settings, ask_period=9.0))
    assert await ping() != before


@pytest.mark.parametrize("settings", [SchedulerSettings(version="8.6.0", config_server_url="u")])
async def test_an_8_6_scheduler_has_the_older_name_of_the_config_server(desk: Desk) -> None:
    config = (await desk.client.get("/workers/config")).json()

    assert config["blockchainAdapterUrl"] == config["configServerUrl"] == "u"
