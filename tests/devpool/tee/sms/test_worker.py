"""The worker's client, which shares nothing with this SMS, gets along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool.chain.hashing import concat_and_hash
from iexec_worker.devpool.tee.properties import Properties, StageProperties
from iexec_worker.errors import Rejected
from iexec_worker.model import Authorization, TeeFramework
from iexec_worker.tee.model import Service
from iexec_worker.tee.sms import SessionRefused, Sms
from iexec_worker.wire import Cause
from tests.devpool.tee.sms.desk import STRANGER, TOKEN, WORKER, address, sign

if TYPE_CHECKING:
    from tests.devpool.tee.sms.desk import Desk


@pytest.fixture
def worker(desk: Desk) -> Sms:
    return Sms(desk.client, str(desk.client.base_url))


def ours(desk: Desk) -> Authorization:
    permit = desk.permit()
    return Authorization(
        chain_task_id=permit["chainTaskId"],
        worker_wallet=permit["workerWallet"],
        enclave_challenge=permit["enclaveChallenge"],
        signature=permit["signature"]["value"],
    )


@pytest.mark.parametrize("version", ["9.3.1", "8.7.0"])
async def test_it_learns_what_the_sms_serves(desk: Desk, worker: Sms, version: str) -> None:
    pre = StageProperties("pre:1", 64 * "1", "/pre", 5)
    desk.sms.properties = {"v5": Properties(pre=pre, las_image="las:1")}

    services = await worker.properties(TeeFramework.SCONE, "v5")

    assert await worker.framework() == "SCONE"
    assert services.pre == Service("pre:1", 64 * "1", "/pre", 5)
    assert services.las_image == "las:1"
    with pytest.raises(Rejected):
        await worker.properties(TeeFramework.GRAMINE, "v5")


async def test_it_opens_a_session_with_its_token_there(desk: Desk, worker: Sms) -> None:
    await desk.ask_challenge()
    authorization = ours(desk)
    terms = (authorization.worker_wallet, authorization.chain_task_id, desk.challenge)
    signature = sign(WORKER, concat_and_hash(*terms))
    with pytest.raises(SessionRefused) as refusal:
        await worker.session(authorization, signature)
    assert refusal.value.cause is (
        Cause.TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED
    )
    for token in ("first", "second"):
        await worker.store_secret(address(WORKER), TOKEN, token, lambda h: sign(WORKER, h))

    session = await worker.session(authorization, signature)

    assert session.url == desk.sms.provisioning_url
    secrets = await desk.fetch(session.session_id, "post-compute")
    assert secrets["RESULT_STORAGE_TOKEN"] == "second"
    with pytest.raises(SessionRefused) as refusal:
        await worker.session(authorization, sign(STRANGER, concat_and_hash(*terms)))
    assert refusal.value.cause is Cause.TEE_SESSION_GENERATION_INVALID_AUTHORIZATION
