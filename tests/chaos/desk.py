"""
The embedded pool's scheduler without sockets: its routes as a table, its topics as a callback.

What it answers, and what follows from it, is `devpool.scheduler`'s, whose rule book is checked
against the recorded transition table.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

import httpx
import trio
from attrs import define, field

from iexec_worker.devpool.broker.sockjs import SockJsSettings
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.spring import BadRequest
from iexec_worker.devpool.scheduler.messages import read_model, read_update
from iexec_worker.devpool.scheduler.scheduler import Scheduler
from iexec_worker.devpool.scheduler.settings import Periods, SchedulerSettings
from iexec_worker.scheduler import messages, stomp
from iexec_worker.scheduler.transports import LinkLost
from tests.chaos.contracts import HUB, OWNER, POOL, TASK
from tests.chaos.mortal import breathe
from tests.chaos.node import BLOCK_TIME, CHAIN_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.devpool.broker.stomp import Connection
    from iexec_worker.devpool.scheduler.process import Process
    from iexec_worker.devpool.scheduler.state import Replicate, Task
    from iexec_worker.scheduler.gate import Gate
    from iexec_worker.scheduler.subscriptions import Subscriptions
    from tests.chaos.eyes import Eyes
    from tests.chaos.proxy import Proxy
    from tests.chaos.trust import SecretService

URL: Final = "http://pool.test"
NODE_URL: Final = "http://node.test"
PROXY_URL: Final = "http://proxy.test"
CONFIG_URL: Final = "http://config.test"

NEVER: Final = 1e9

CHAIN: Final = {
    "chainId": CHAIN_ID,
    "sidechain": True,
    "chainNodeUrl": NODE_URL,
    "iexecHubContractAddress": HUB,
    "blockTime": f"PT{BLOCK_TIME}S",
}

SETTINGS: Final = SchedulerSettings(
    pool_address=POOL,
    scheduler_address=OWNER.address,
    config_server_url=CONFIG_URL,
    result_proxy_url=PROXY_URL,
    # Seldom: there is one task, and each question without an answer is the same. So is each look
    # for deals after the first, and at a node that is always there.
    ask_period=20.0,
    periods=Periods(deals=NEVER, blocks=20.0),
    block_time=BLOCK_TIME,
    stale_after=60.0,
    token_life=1e9,
)


@define(eq=False)
class Desk:
    """The scheduler's REST interface for the worker *wallet*."""

    wallet: str
    eyes: Eyes
    proxy: Proxy
    sms: SecretService
    scheduler: Scheduler = field(init=False)
    #: Set when the scheduler's process is exchanged.
    restarted: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.scheduler = Scheduler(
            settings=SETTINGS,
            chain=self.eyes,
            results=self.proxy,
            sms=self.sms,
            record=Record(),
            # No session of theirs is used.
            sockjs_settings=SockJsSettings(expiry=NEVER),
        )

    @property
    def process(self) -> Process:
        return self.scheduler.process

    async def restart(self) -> None:
        """Exchange the scheduler's process."""
        await self.scheduler.restart()
        restarted, self.restarted = self.restarted, trio.Event()
        restarted.set()

    def found(self) -> tuple[Task, Replicate] | None:
        """Return the task and its replicate of this wallet, if it was given."""
        return self.scheduler.store.replicate(TASK, self.wallet)

    async def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Serve one request."""
        process, path = self.process, request.url.path
        token = process.memory.tokens.issue(self.wallet)
        for_all = {
            "/version": process.settings.version,
            "/workers/challenge": "Y2hhbGxlbmdl",
            "/workers/login": token,
        }
        if path in for_all:
            return httpx.Response(200, text=for_all[path])
        if path == "/workers/config":
            return httpx.Response(200, json=process.settings.public())
        if request.headers.get("Authorization") != f"Bearer {token}":
            return httpx.Response(401)
        content = json.loads(body) if body else {}
        if path.startswith("/workers"):
            return self._membership(path, content)
        try:
            return await self._replicates(request, content)
        except BadRequest:
            return httpx.Response(400)

    def _membership(self, path: str, content: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        process = self.process
        if path == "/workers/ping":
            process.memory.seen(self.wallet)
            return httpx.Response(200, text=process.settings.public_hash())
        if path == "/workers/register":
            process.register(self.wallet, read_model(content))
            return httpx.Response(200, json={})
        worker = self.scheduler.store.workers.get(self.wallet)
        return httpx.Response(200, json=worker.computing if worker else [])

    async def _replicates(self, request: httpx.Request, content: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        process, path = self.process, request.url.path
        block = int(request.url.params.get("blockNumber", 0))
        if path == "/replicates/interrupted":
            return httpx.Response(200, json=await process.interrupted.list(self.wallet, block))
        if not process.monitor.up:
            return httpx.Response(503)
        if path == "/replicates/available":
            offer = await process.offers.ask(process.memory, self.wallet, block)
            return httpx.Response(204) if offer is None else httpx.Response(200, json=offer)
        return await self._update(path.split("/")[2], content)

    async def _update(self, task_id: str, content: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        update = read_update(content, self.process.settings.numbers[0])
        answer = await self.process.updates.tell(self.wallet, task_id, update)
        if answer.action is None:
            return httpx.Response(answer.code)
        return httpx.Response(answer.code, json=answer.action)


@define(eq=False)
class Ear:
    """A session with the broker: what is published comes as text, at once."""

    id: str
    hear: Callable[[str], None]
    deliver: Callable[[str], None] | None = None

    def push(self, text: str) -> None:
        self.hear(text)

    def close(self, *_: object) -> None:
        """The broker does not like us any more: there is nothing to close."""


@define(eq=False)
class Wire:
    """What stands for `scheduler.link.Link`: no transport below, the same effects above."""

    desk: Desk
    subscriptions: Subscriptions
    gate: Gate
    transport: str = "memory"

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Deliver what is published until the scheduler's process ends."""
        await trio.lowlevel.checkpoint()
        breathe()
        send, receive = trio.open_memory_channel[str](64)
        ear: Any = Ear(f"{id(self):x}", send.send_nowait)
        broker = self.desk.process.sockjs.broker
        broker.connect(ear)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_lost, self.desk.restarted)
                nursery.start_soon(self._subscribe, broker.connections[ear.id])
                self.gate.open()
                task_status.started()
                async for text in receive:
                    self._deliver(text)
        finally:
            self.gate.close()
            broker.forget(ear)

    async def _until_lost(self, restarted: trio.Event) -> NoReturn:
        await restarted.wait()
        raise LinkLost("the scheduler's process ended")

    async def _subscribe(self, connection: Connection) -> NoReturn:
        while True:
            changed = self.subscriptions.changed
            topics = {task: f"/topic/task/{task}" for task in self.subscriptions.task_ids}
            connection.subscriptions.clear()
            connection.subscriptions.update(topics)
            await changed.wait()

    def _deliver(self, text: str) -> None:
        received = stomp.parse(text)
        if isinstance(received, stomp.Message):
            notification = messages.notification(received.body)
            if notification is not None and notification.is_for(self.desk.wallet):
                self.subscriptions.deliver(notification)
