from __future__ import annotations

import attrs
import httpx
import pytest
from eth_account import Account

from iexec_worker.devpool.scheduler.sms import PROXY_URL, SmsClient
from iexec_worker.model import TeeFramework
from tests.devpool.scheduler.fakes import FakeChain as SchedulersChain
from tests.devpool.tee.sms.desk import OWNER, TASK, Desk, address, sign

SCONE, GRAMINE = TeeFramework.SCONE, TeeFramework.GRAMINE


@attrs.define(eq=False)
class Owner(SchedulersChain):
    owner_address: str = address(OWNER)

    def sign_prefixed(self, hash_hex: str) -> str:
        return sign(OWNER, hash_hex)


@pytest.fixture
def client(desk: Desk) -> SmsClient:
    url = str(desk.client.base_url)
    return SmsClient({SCONE: url, GRAMINE: url}, Owner(), desk.client)


async def test_the_scheduler_takes_an_sms_at_its_word(desk: Desk, client: SmsClient) -> None:
    assert await client.url(SCONE) == str(desk.client.base_url)
    assert await client.url(GRAMINE) is None
    assert await client.url(TeeFramework.TDX) is None
    desk.sms.faults.on("GET /tee/framework").status(500, times=1)
    assert await client.url(SCONE) is None
    desk.sms.faults.on("GET /tee/framework").body(b"<html>", times=1)
    assert await client.url(SCONE) is None
    desk.sms.faults.on("GET /tee/framework").reset(times=1)
    assert await client.url(SCONE) is None


async def test_the_challenge_is_the_address_of_the_key(desk: Desk, client: SmsClient) -> None:
    url = str(desk.client.base_url)

    found = await client.challenge(url, TASK)

    assert found == address(Account.from_key(desk.sms.enclave_key(TASK)))
    assert await client.challenge(url, "0x" + 64 * "9") is None
    desk.sms.faults.on("POST /tee/challenges/*").body(b"no address", times=1)
    assert await client.challenge(url, TASK) is None
    assert await client.challenge(url, TASK) == found


async def test_where_results_go_is_told_again_when_it_changes(
    desk: Desk, client: SmsClient
) -> None:
    for proxy in ("http://first", "http://second"):
        await client.tell_proxy(str(desk.client.base_url), proxy)

        assert desk.sms.vault.web2(address(OWNER), PROXY_URL) == proxy


async def test_an_sms_that_is_away_is_none(client: SmsClient) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as outside:
        away = attrs.evolve(client, urls={SCONE: "http://127.0.0.1:9"}, client=outside)
        assert await away.url(SCONE) is None
        assert await away.challenge("http://127.0.0.1:9", TASK) is None
        await away.tell_proxy("http://127.0.0.1:9", "http://proxy")
