"""A worker written once more for these tests: it says what it is told to say."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

import httpx
from attrs import define
from eth_account import Account

from iexec_worker.devpool.chain.hashing import concat_and_hash, login_hash
from iexec_worker.model import ZERO_ADDRESS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.chain.sender import Sender
    from iexec_worker.devpool.pool import Pool

OUTPUT = b"the result"
DIGEST = "0x" + sha256(OUTPUT).hexdigest()


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def archive(output: bytes = OUTPUT) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        computed = {"deterministic-output-path": "/iexec_out/result.txt"}
        zipped.writestr("computed.json", json.dumps(computed))
        zipped.writestr("result.txt", output)
    return buffer.getvalue()


@define(eq=False)
class Member:
    pool: Pool
    key: str
    sender: Sender
    client: httpx.AsyncClient
    permit: dict[str, Any]

    @property
    def wallet(self) -> str:
        return str(self.sender.address)

    @classmethod
    @asynccontextmanager
    async def join(cls, pool: Pool, account: int) -> AsyncIterator[Self]:
        key = pool.node.keys[account]
        async with httpx.AsyncClient(base_url=pool.url, trust_env=False, timeout=30) as client:
            member = cls(pool, key, pool.node.sender(key), client, {})
            await pool.market.deposit(member.wallet, 1_000_000)
            await member.log_in()
            await member.register()
            yield member

    async def log_in(self) -> None:
        query = {"walletAddress": self.wallet}
        challenge = (await self.client.get("/workers/challenge", params=query)).text
        signed = Account.unsafe_sign_hash(login_hash(challenge), self.key)
        body = {"value": "0x" + signed.signature.hex()}
        token = await self.client.post("/workers/login", params=query, json=body)
        assert token.status_code == 200
        self.client.headers["Authorization"] = f"Bearer {token.text}"

    async def register(self, **model: object) -> httpx.Response:
        said = {"name": "member", "os": "Linux", "cpu": "amd64", "cpuNb": 2, "memorySize": 4}
        return await self.client.post("/workers/register", json={**said, **model})

    async def ask(self) -> httpx.Response:
        answer = await self.client.get("/replicates/available", params={"blockNumber": 1})
        if answer.status_code == 200:
            self.permit = answer.json()["workerpoolAuthorization"]
        return answer

    async def interrupted(self) -> list[dict[str, Any]]:
        query = {"blockNumber": 1}
        answer = await self.client.get("/replicates/interrupted", params=query)
        found: list[dict[str, Any]] = answer.json()
        return found

    async def tell(self, task: str, status: str, **details: object) -> httpx.Response:
        body = {"status": status, "details": details}
        return await self.client.post(f"/replicates/{task}/updateStatus", json=body)

    async def work(self, task: str, upto: str = "CONTRIBUTING") -> None:
        for status in (
            "STARTING",
            "STARTED",
            "APP_DOWNLOADING",
            "APP_DOWNLOADED",
            "DATA_DOWNLOADING",
            "DATA_DOWNLOADED",
            "COMPUTING",
            "COMPUTED",
            "CONTRIBUTING",
        ):
            assert (await self.tell(task, status)).status_code == 200, status
            if status == upto:
                return

    async def contribute(self, task: str, digest: str = DIGEST) -> int:
        hub = self.pool.village.contracts.hub
        call = hub.abi.call(
            "contribute",
            raw(task),
            raw(concat_and_hash(task, digest)),
            raw(concat_and_hash(self.wallet, task, digest)),
            ZERO_ADDRESS,
            b"",
            raw(self.permit["signature"]["value"]),
        )
        return (await self.sender.send(hub.address, call)).block_number

    async def reveal(self, task: str, digest: str = DIGEST) -> int:
        hub = self.pool.village.contracts.hub
        call = hub.abi.call("reveal", raw(task), raw(digest))
        return (await self.sender.send(hub.address, call)).block_number

    async def upload(self, task: str, content: bytes | None = None) -> httpx.Response:
        url = f"{self.pool.result_proxy_url}/v1/results"
        message = concat_and_hash(self.wallet, task, ZERO_ADDRESS)
        header = {"Authorization": self.sender.sign_prefixed(message)}
        token = await self.client.post(f"{url}/token", json=self.permit, headers=header)
        assert token.status_code == 200
        body = {
            "chainTaskId": task,
            "zip": base64.b64encode(archive() if content is None else content).decode(),
            "deterministHash": DIGEST,
        }
        return await self.client.post(url, json=body, headers={"Authorization": token.text})
