"""An SMS behind HTTP, a chain in memory, and the hands of a scheduler and of a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import define, field
from eth_account import Account
from eth_account.messages import encode_defunct

from iexec_worker.devpool.chain.hashing import concat_and_hash, web2_challenge
from iexec_worker.devpool.chain.market import task_id
from iexec_worker.devpool.chain.onchain import Asset, PoolApp, PoolDataset, PoolDeal, PoolTask
from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.tee.enclave_config import configuration
from iexec_worker.errors import Unavailable
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, TaskStatus, TeeFramework

if TYPE_CHECKING:
    import httpx

    from iexec_worker.devpool.tee.sms import Sms

OWNER: Final = Account.from_key("0x" + 64 * "1")
WORKER: Final = Account.from_key("0x" + 64 * "2")
STRANGER: Final = Account.from_key("0x" + 64 * "3")
REQUESTER: Final = "0x" + 40 * "4"
APP: Final = "0x" + 40 * "a"
DATASET: Final = "0x" + 40 * "b"
CALLBACK: Final = "0x" + 40 * "c"
CHECKSUM: Final = "0x" + 64 * "c"
DEAL: Final = "0x" + 64 * "d"
TASK: Final = task_id(DEAL, 0)
TOKEN: Final = "iexec-result-iexec-ipfs-token"
IPFS: Final = '{"iexec_result_storage_provider": "ipfs"}'


def address(account: Any) -> str:  # noqa: ANN401 - eth-account has no name for it
    return str(account.address).lower()


def sign(account: Any, hash_hex: str) -> str:  # noqa: ANN401 - as above
    signed = account.sign_message(encode_defunct(hexstr=hash_hex))
    return "0x" + str(signed.signature.hex()).removeprefix("0x")


def deal(framework: TeeFramework, **changes: object) -> PoolDeal:
    plain = PoolDeal(
        deal_id=DEAL,
        app=Asset(APP, ZERO_ADDRESS, 0),
        dataset=Asset(ZERO_ADDRESS, ZERO_ADDRESS, 0),
        workerpool=Asset(ZERO_ADDRESS, address(OWNER), 0),
        trust=1,
        category=0,
        tag=tag_of(framework),
        requester=REQUESTER,
        beneficiary=REQUESTER,
        callback=ZERO_ADDRESS,
        params=IPFS,
        start_time=int(time.time()),
        bot_first=0,
        bot_size=1,
        worker_stake=0,
    )
    return attrs.evolve(plain, **changes)  # type: ignore[arg-type]  # fields of a deal


@define(eq=False)
class FakeChain:
    made: PoolDeal
    registered: PoolApp
    status: TaskStatus = TaskStatus.ACTIVE
    location: bytes = b"http://host/data"
    away: bool = False

    async def task(self, task_id: str) -> PoolTask | None:
        if self.away:
            raise Unavailable("no node")
        if task_id != TASK:
            return None
        return PoolTask(
            task_id=task_id,
            status=self.status,
            deal_id=DEAL,
            index=0,
            contribution_deadline=0,
            reveal_deadline=0,
            final_deadline=0,
            consensus_value=ZERO_HASH,
            reveal_counter=0,
            winner_counter=0,
            contributors=(),
            result_digest=ZERO_HASH,
            results=b"",
            results_callback=b"",
        )

    async def deal(self, deal_id: str) -> PoolDeal | None:
        return self.made if deal_id == self.made.deal_id else None

    async def app(self, address: str) -> PoolApp:
        return self.registered

    async def dataset(self, address: str) -> PoolDataset:
        return PoolDataset(self.location, CHECKSUM)


def chain_for(framework: TeeFramework) -> FakeChain:
    app = PoolApp("registry/app:1.0", ZERO_HASH, configuration(framework))
    return FakeChain(deal(framework), app)


@define(eq=False)
class Desk:
    sms: Sms
    chain: FakeChain
    client: httpx.AsyncClient
    provisioning: str
    challenge: str = field(default="")

    def agree(self, **changes: object) -> None:
        """Change the deal."""
        self.chain.made = attrs.evolve(self.chain.made, **changes)  # type: ignore[arg-type]

    async def ask_challenge(self, account: Any = OWNER, task: str = TASK) -> httpx.Response:  # noqa: ANN401
        header = {"Authorization": sign(account, concat_and_hash(task))}
        answer = await self.client.post(f"/tee/challenges/{task}", headers=header)
        if answer.is_success:
            self.challenge = answer.text
        return answer

    async def keep(
        self,
        method: str,
        value: str,
        *,
        name: str = TOKEN,
        account: Any = WORKER,  # noqa: ANN401
    ) -> int:
        header = {"Authorization": sign(account, web2_challenge(address(WORKER), name, value))}
        answer = await self.client.request(
            method, "/secrets/web2", params=owned(name), content=value, headers=header
        )
        return answer.status_code

    def permit(self, pool: Any = OWNER, **changes: str) -> dict[str, Any]:  # noqa: ANN401
        terms = {
            "workerWallet": address(WORKER),
            "chainTaskId": TASK,
            "enclaveChallenge": self.challenge,
            **changes,
        }
        signed = sign(pool, concat_and_hash(*terms.values()))
        return {**terms, "signature": {"value": signed}}

    async def ask_session(
        self,
        permit: dict[str, Any] | None = None,
        signer: Any = WORKER,  # noqa: ANN401
    ) -> tuple[int, dict[str, Any]]:
        body = permit or self.permit()
        terms = (body[name] for name in ("workerWallet", "chainTaskId", "enclaveChallenge"))
        header = {"Authorization": sign(signer, concat_and_hash(*terms))}
        answer = await self.client.post("/tee/sessions", json=body, headers=header)
        return answer.status_code, answer.json()

    async def secrets(self, stage: str = "") -> Any:  # noqa: ANN401 - JSON
        """Open a session, and be its enclaves."""
        status, body = await self.ask_session()
        assert status == 200, body
        return await self.fetch(body["data"]["sessionId"], stage)

    async def fetch(self, session: str, stage: str = "") -> Any:  # noqa: ANN401 - JSON
        path = f"/sessions/{session}/{stage}" if stage else f"/sessions/{session}"
        return (await self.client.get(self.provisioning + path)).json()


def owned(name: str = TOKEN, owner: str = "") -> dict[str, str]:
    return {"ownerAddress": owner or address(WORKER), "secretName": name}
