from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from eth_account import Account
from eth_account.messages import encode_defunct

from iexec_worker.devpool import sdk
from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.hashing import concat_and_hash, web2_challenge
from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.chain.orders import Purchase
from iexec_worker.devpool.chain.receiver import deploy_receiver, received
from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.tee.enclave_config import configuration
from iexec_worker.errors import Fatal
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, TaskStatus, TeeFramework
from iexec_worker.wire import Action, Status
from tests.devpool.pool.member import DIGEST, Member, archive, raw

if TYPE_CHECKING:
    import httpx

    from iexec_worker.devpool.options import PoolOptions

pytestmark = [pytest.mark.node, pytest.mark.slow]

SCONE, GRAMINE, TDX = TeeFramework.SCONE, TeeFramework.GRAMINE, TeeFramework.TDX
LINK = '{ "storage": "ipfs", "location": "%s" }'
TOKEN = "iexec-result-iexec-ipfs-token"


@pytest.fixture
def options(options: PoolOptions) -> PoolOptions:
    return attrs.evolve(options, frameworks=tuple(TeeFramework))


async def buy(pool: Pool, framework: TeeFramework, **terms: object) -> str:
    app = await pool.market.deploy_app("registry/app:1.0", enclave=configuration(framework))
    asked: dict[str, object] = {
        "app": app,
        "workerpool": pool.chain.pool_address,
        "category": category_id(60),
        "tag": tag_of(framework),
        "params": params("hello"),
    }
    bought = await pool.market.buy(Purchase(**(asked | terms)))  # type: ignore[arg-type]  # terms of a Purchase
    (task,) = bought.task_ids
    with trio.fail_after(10):
        await pool.task_status(task, "INITIALIZED")
    return task


def sign_as_enclave(key: str, hash_hex: str) -> str:
    signed = Account.from_key(key).sign_message(encode_defunct(hexstr=hash_hex))
    return "0x" + str(signed.signature.hex()).removeprefix("0x")


def sealed(wallet: str, task: str, digest: str = DIGEST) -> str:
    """What an enclave signs of a result."""
    return concat_and_hash(concat_and_hash(task, digest), concat_and_hash(wallet, task, digest))


@attrs.define(eq=False)
class Tee:
    """A member with a task of one framework."""

    member: Member
    pool: Pool
    framework: TeeFramework
    task: str
    sms_url: str = ""

    async def start(self) -> None:
        await self.member.register(teeEnabled=True, tdxEnabled=True)
        offer = await self.member.ask()
        assert offer.status_code == 200
        self.sms_url = offer.json()["smsUrl"]

    @property
    def permit_signature(self) -> str:
        terms = ("workerWallet", "chainTaskId", "enclaveChallenge")
        hashed = concat_and_hash(*(self.member.permit[name] for name in terms))
        return self.member.sender.sign_prefixed(hashed)

    async def token(self) -> str:
        header = {"Authorization": self.permit_signature}
        url = f"{self.pool.result_proxy_url}/v1/results/token"
        answer = await self.member.client.post(url, json=self.member.permit, headers=header)
        assert answer.status_code == 200
        return answer.text

    async def hand_over(self, token: str) -> None:
        challenge = web2_challenge(self.member.wallet, TOKEN, token)
        answer = await self.member.client.post(
            f"{self.sms_url}/secrets/web2",
            params={"ownerAddress": self.member.wallet, "secretName": TOKEN},
            content=token,
            headers={"Authorization": self.member.sender.sign_prefixed(challenge)},
        )
        assert answer.status_code == 204

    async def session(self) -> httpx.Response:
        return await self.member.client.post(
            f"{self.sms_url}/tee/sessions",
            json=self.member.permit,
            headers={"Authorization": self.permit_signature},
        )

    async def secrets(self) -> dict[str, str]:
        """Be the post-compute, whichever way it gets its environment."""
        data = (await self.session()).json()["data"]
        url, session = data["secretProvisioningUrl"], data["sessionId"]
        if self.framework is TDX:
            document = (await self.member.client.get(f"{url}/sessions/{session}")).json()
            environment: dict[str, str] = document["services"][-1]["environment"]
        else:
            path = f"http://{url}/sessions/{session}/post-compute"
            environment = (await self.member.client.get(path)).json()
        return environment

    async def upload(self, secrets: dict[str, str], **changes: str) -> httpx.Response:
        signed = sealed(self.member.wallet, self.task)
        body = {
            "chainTaskId": self.task,
            "zip": base64.b64encode(archive(b"encrypted, as it may be")).decode(),
            "deterministHash": DIGEST,
            "enclaveSignature": sign_as_enclave(secrets["SIGN_TEE_CHALLENGE_PRIVATE_KEY"], signed),
        }
        return await self.member.client.post(
            f"{secrets['RESULT_STORAGE_PROXY']}/v1/results",
            json=body | changes,
            headers={"Authorization": secrets["RESULT_STORAGE_TOKEN"]},
        )

    async def finalize(self, results: str, callback: bytes = b"", digest: str = DIGEST) -> int:
        hub, permit = self.pool.village.contracts.hub, self.member.permit
        key = self.pool.sms[self.framework].enclave_key(self.task)
        call = hub.abi.call(
            "contributeAndFinalize",
            raw(self.task),
            raw(digest),
            results.encode(),
            callback,
            permit["enclaveChallenge"],
            raw(sign_as_enclave(key, sealed(self.member.wallet, self.task, digest))),
            raw(permit["signature"]["value"]),
        )
        receipt = await self.member.sender.send(hub.address, call, spare_gas=400_000)
        return receipt.block_number

    async def begin(self) -> None:
        await self.member.work(self.task, "COMPUTED")
        told = await self.member.tell(self.task, "CONTRIBUTE_AND_FINALIZE_ONGOING")
        assert told.json() == "PLEASE_CONTINUE"


async def open_tee(pool: Pool, member: Member, framework: TeeFramework, **terms: object) -> Tee:
    tee = Tee(member, pool, framework, await buy(pool, framework, **terms))
    await tee.start()
    return tee


@pytest.mark.parametrize("framework", TeeFramework)
async def test_a_tee_task_goes_from_the_deal_to_completed(
    pool: Pool, member: Member, framework: TeeFramework
) -> None:
    tee = await open_tee(pool, member, framework)
    sms = pool.sms[framework]
    assert tee.sms_url == sms.url
    key = Account.from_key(sms.enclave_key(tee.task))
    assert member.permit["enclaveChallenge"] == key.address.lower()
    refused = await tee.session()
    assert refused.json() == {"error": "POST_COMPUTE_GET_STORAGE_TOKENS_FAILED"}
    await tee.hand_over(await tee.token())
    secrets = await tee.secrets()
    # The scheduler has told the SMS where its proxy is.
    assert secrets["RESULT_STORAGE_PROXY"] == pool.result_proxy_url

    await tee.begin()
    stranger = sign_as_enclave("0x" + 64 * "7", sealed(member.wallet, tee.task))
    for wrong in ({"enclaveSignature": stranger}, {"deterministHash": "0x" + 64 * "1"}, {}):
        answer = await tee.upload(secrets, **wrong) if wrong else await tee.upload(secrets)
        assert answer.status_code == (401 if wrong else 200)
    assert (await tee.upload(secrets)).status_code == 401
    link = LINK % answer.text
    receipt = {"blockNumber": await tee.finalize(link), "txHash": "0x1"}
    told = await member.tell(
        tee.task, "CONTRIBUTE_AND_FINALIZE_DONE", chainReceipt=receipt, resultLink="ignored"
    )
    assert (told.status_code, told.json()) == (200, "PLEASE_WAIT")

    onchain = await pool.chain.task(tee.task)
    assert onchain is not None
    assert (onchain.status, onchain.results.decode()) == (TaskStatus.COMPLETED, link)
    assert onchain.result_digest == DIGEST
    replicate = pool.scheduler.store.tasks[tee.task].replicates[member.wallet]
    assert replicate.result_link == link
    (message,) = pool.notifications.sent
    assert (message.action, list(message.workers)) == (Action.PLEASE_COMPLETE, [])
    assert (await member.tell(tee.task, "COMPLETING")).json() == "PLEASE_CONTINUE"
    assert (await member.tell(tee.task, "COMPLETED")).json() == "PLEASE_WAIT"
    assert (await tee.session()).json() == {"error": "EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE"}


async def test_a_callback_gets_its_data_from_the_worker_itself(pool: Pool, member: Member) -> None:
    receiver = await deploy_receiver(pool.node.sender(pool.node.keys[6]))
    tee = await open_tee(pool, member, GRAMINE, callback=receiver)
    # Nothing is uploaded, so that no token is needed.
    assert (await tee.secrets())["RESULT_STORAGE_CALLBACK"] == "true"
    await tee.begin()
    data = raw("0x1234")
    digest = concat_and_hash("0x1234")
    await tee.finalize("link", data, digest)

    told = await member.tell(
        tee.task, "CONTRIBUTE_AND_FINALIZE_DONE", resultLink="link", chainCallbackData="0x1234"
    )

    assert told.status_code == 200
    await pool.task_status(tee.task, "COMPLETED")
    assert await received(pool.node.rpc, receiver, tee.task) == data


async def test_a_task_finalised_silently_is_found_on_chain(pool: Pool, member: Member) -> None:
    tee = await open_tee(pool, member, TDX)
    await tee.begin()
    await tee.finalize("link")

    await pool.scheduler.process.timers.unnotified_ongoing()

    with trio.fail_after(10):
        await pool.task_status(tee.task, "COMPLETED")
    assert (await member.tell(tee.task, "CONTRIBUTE_AND_FINALIZE_DONE")).status_code == 208


async def test_a_restarted_worker_goes_on_with_what_it_remembers(
    pool: Pool, member: Member
) -> None:
    tee = await open_tee(pool, member, SCONE)
    await member.work(tee.task, "COMPUTING")
    with trio.fail_after(10):
        await pool.restart_scheduler()
    await member.log_in()

    (found,) = await member.interrupted()

    assert found["taskNotificationType"] == "PLEASE_CONTRIBUTE"
    assert found["taskNotificationExtra"]["workerpoolAuthorization"] == member.permit
    assert found["taskNotificationExtra"]["smsUrl"] is None
    assert (await member.tell(tee.task, "COMPUTED")).json() == "PLEASE_CONTRIBUTE_AND_FINALIZE"
    await member.tell(tee.task, "CONTRIBUTE_AND_FINALIZE_ONGOING")
    assert await member.interrupted() == []


async def test_a_tee_task_its_only_worker_failed_is_over(pool: Pool, member: Member) -> None:
    tee = await open_tee(pool, member, SCONE)
    await member.work(tee.task, "COMPUTING")

    await member.tell(tee.task, "COMPUTE_FAILED", cause="PRE_COMPUTE_TIMEOUT")

    assert [state for state, _ in pool.scheduler.store.tasks[tee.task].states][-2:] == [
        "RUNNING_FAILED",
        "FAILED",
    ]
    (message,) = pool.notifications.sent
    assert (message.action, list(message.workers), message.extra) == (
        Action.PLEASE_ABORT,
        [],
        None,
    )


async def test_a_token_of_a_tee_task_needs_its_challenge(pool: Pool, member: Member) -> None:
    await open_tee(pool, member, SCONE)
    wallet, task = member.wallet, member.permit["chainTaskId"]
    bare = concat_and_hash(wallet, task, ZERO_ADDRESS)
    permit = {
        **member.permit,
        "enclaveChallenge": ZERO_ADDRESS,
        "signature": {"value": pool.chain.sign_prefixed(bare)},
    }

    answer = await member.client.post(
        f"{pool.result_proxy_url}/v1/results/token",
        json=permit,
        headers={"Authorization": member.sender.sign_prefixed(bare)},
    )

    assert answer.status_code == 401


async def test_the_scheduler_looks_for_results_of_tee_tasks_at_other_proxies_too(
    pool: Pool, member: Member
) -> None:
    tee = await open_tee(pool, member, SCONE)
    await tee.hand_over(await tee.token())
    await tee.upload(await tee.secrets())
    look = pool.scheduler.results
    elsewhere = pool.result_proxy_url.replace("127.0.0.1", "localhost")

    assert await look.stored(tee.task, elsewhere, member.permit["enclaveChallenge"])
    assert not await look.stored(tee.task, elsewhere, ZERO_ADDRESS)


async def test_without_its_sms_a_tee_task_fails_and_standard_ones_do_not(
    pool: Pool, member: Member
) -> None:
    fault = pool.sms[SCONE].faults.on("GET /tee/framework").status(503)
    with trio.fail_after(10):
        bought = await pool.market.buy(
            Purchase(
                app=await pool.market.deploy_app("registry/app:1.0"),
                workerpool=pool.chain.pool_address,
                category=category_id(60),
                tag=tag_of(SCONE),
            )
        )
        await pool.task_status(bought.task_ids[0], "FAILED")
        await buy(pool, GRAMINE)
        await buy(pool, GRAMINE, tag=ZERO_HASH)
    assert fault.hits == 1
    assert (await member.ask()).json()["smsUrl"] is None


async def test_the_sdk_gets_an_order_for_each_framework(pool: Pool) -> None:
    found = sdk.files(pool)

    tags = {
        name: content["65535"]["workerpoolorder"]["tag"]
        for name, content in found.items()
        if name.startswith("orders")
    }
    assert tags == {
        "orders.json": ZERO_HASH,
        "orders-scone.json": tag_of(SCONE),
        "orders-gramine.json": tag_of(GRAMINE),
        "orders-tdx.json": tag_of(TDX),
    }
    assert found["chain.json"]["chains"]["devpool"]["sms"] == pool.sms[SCONE].url


async def test_containers_are_told_another_address(options: PoolOptions) -> None:
    near = attrs.evolve(options, container_host="127.0.0.2", frameworks=(SCONE, TDX))
    async with open_pool(near) as pool:
        assert pool.hosts == ("127.0.0.1", "127.0.0.2")
        assert pool.url.startswith("http://127.0.0.1:")
        assert pool.sms[SCONE].url.startswith("http://127.0.0.1:")
        assert pool.result_proxy_url.startswith("http://127.0.0.2:")
        assert pool.sms[SCONE].provisioning_url.startswith("127.0.0.2:")
        assert pool.sms[TDX].provisioning_url.startswith("http://127.0.0.2:")
        for url in (pool.result_proxy_url, pool.sms[TDX].provisioning_url):
            host, _, port = url.removeprefix("http://").rpartition(":")
            async with await trio.open_tcp_stream(host, int(port)):
                pass


async def test_a_pool_of_8_6_has_no_tdx(options: PoolOptions) -> None:
    older = attrs.evolve(options, scheduler=attrs.evolve(options.scheduler, version="8.6.0"))

    with pytest.RaisesGroup(pytest.RaisesExc(Fatal, match="no TDX in a pool of version 8.6.0")):
        async with open_pool(older):
            pass


async def test_a_pool_of_8_6_has_older_services(options: PoolOptions) -> None:
    scheduler = attrs.evolve(options.scheduler, version="8.6.0")
    older = attrs.evolve(options, scheduler=scheduler, frameworks=(GRAMINE,))
    async with open_pool(older) as pool, Member.join(pool, 5) as member:
        assert (await member.client.get(f"{pool.sms[GRAMINE].url}/version")).text == "8.7.0"
        assert (await member.client.get(f"{pool.result_proxy_url}/version")).text == "8.6.0"
        tee = await open_tee(pool, member, GRAMINE)
        assert "dealId" not in member.permit
        await tee.hand_over(await tee.token())
        secrets: dict[str, Any] = await tee.secrets()
        assert secrets["RESULT_TASK_ID"] == tee.task
        await tee.begin()
        told = await member.tell(
            tee.task,
            "CONTRIBUTE_AND_FINALIZE_FAILED",
            cause="PRE_COMPUTE_WORKER_ADDRESS_MISSING",
        )
        assert told.status_code == 400
        told = await member.tell(tee.task, "CONTRIBUTE_AND_FINALIZE_FAILED", cause="TRUST_NOT_1")
        assert told.json() == "PLEASE_ABORT"
        replicate = await pool.replicate_status(
            tee.task, member.wallet, Status.CONTRIBUTE_AND_FINALIZE_FAILED
        )
        assert replicate.current is Status.CONTRIBUTE_AND_FINALIZE_FAILED
