"""The scheduler's REST routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint

from iexec_worker.devpool.http import spring
from iexec_worker.devpool.http.record import Told
from iexec_worker.devpool.scheduler.messages import read_model, read_update

if TYPE_CHECKING:
    from quart import Response

    from iexec_worker.devpool.scheduler.messages import Update
    from iexec_worker.devpool.scheduler.scheduler import Scheduler
    from iexec_worker.devpool.scheduler.state import Worker
    from iexec_worker.devpool.scheduler.updates import Answer


def login(scheduler: Scheduler) -> Blueprint:
    """The routes that need no token."""
    routes = Blueprint("login", __name__)

    @routes.get("/version")
    async def version() -> Response:
        return spring.text(scheduler.process.settings.version)

    @routes.get("/workers/challenge")
    async def challenge() -> Response:
        wallet = spring.parameter("walletAddress")
        if not scheduler.process.lets_in(wallet):
            return spring.empty(401)
        return spring.text(scheduler.process.memory.challenges.get(wallet))

    @routes.post("/workers/login")
    async def log_in() -> Response:
        wallet = spring.parameter("walletAddress")
        signature = str((await spring.body()).get("value") or "")
        if not scheduler.process.lets_in(wallet):
            return spring.empty(401)
        if not scheduler.process.memory.challenges.answered(wallet, signature):
            return spring.empty(401)
        return spring.text(scheduler.process.memory.tokens.issue(wallet))

    @routes.get("/workers/config")
    async def config() -> Response:
        return spring.as_json(scheduler.process.settings.public())

    return routes


def workers(scheduler: Scheduler) -> Blueprint:
    """The routes of a worker's life."""
    routes = Blueprint("workers", __name__)

    @routes.post("/workers/ping")
    async def ping() -> Response:
        if (wallet := _wallet(scheduler)) is None:
            return spring.empty(401)
        scheduler.process.memory.seen(wallet)
        return spring.text(scheduler.process.settings.public_hash())

    @routes.post("/workers/register")
    async def register() -> Response:
        wallet = _wallet(scheduler)
        model = read_model(await spring.body())
        if wallet is None:
            return spring.empty(401)
        return spring.as_json(_worker_json(scheduler.process.register(wallet, model)))

    @routes.get("/workers/computing")
    async def computing() -> Response:
        if (wallet := _wallet(scheduler)) is None:
            return spring.empty(401)
        worker = scheduler.store.workers.get(wallet)
        return spring.as_json(worker.computing if worker else [])

    return routes


def replicates(scheduler: Scheduler) -> Blueprint:
    """The routes of `/replicates`."""
    routes = Blueprint("replicates", __name__, url_prefix="/replicates")

    @routes.get("/available")
    async def available() -> Response:
        block = _block()
        if (wallet := _wallet(scheduler)) is None:
            return spring.empty(401)
        if not scheduler.process.monitor.up:
            return spring.empty(503)
        summary = await scheduler.process.offers.ask(scheduler.process.memory, wallet, block)
        return spring.empty(204) if summary is None else spring.as_json(summary)

    @routes.get("/interrupted")
    async def interrupted() -> Response:
        block = _block()
        if (wallet := _wallet(scheduler)) is None:
            return spring.empty(401)
        return spring.as_json(await scheduler.process.interrupted.list(wallet, block))

    @routes.post("/<chain_task_id>/updateStatus")
    async def update_status(chain_task_id: str) -> Response:
        if (wallet := _wallet(scheduler)) is None:
            return spring.empty(401)
        if not scheduler.process.monitor.up:
            return spring.empty(503)
        update = read_update(await spring.body(), scheduler.process.settings.numbers[0])
        answer = await scheduler.process.updates.tell(wallet, chain_task_id, update)
        scheduler.record.tell(_told(chain_task_id, wallet, update, answer))
        if answer.action is None:
            return spring.empty(answer.code)
        return spring.as_json(answer.action, answer.code)

    return routes


def _wallet(scheduler: Scheduler) -> str | None:
    return scheduler.process.memory.tokens.wallet(spring.header("Authorization"))


def _block() -> int:
    text = spring.parameter("blockNumber")
    try:
        return int(text)
    except ValueError:
        raise spring.BadRequest from None


def _told(chain_task_id: str, wallet: str, update: Update, answer: Answer) -> Told:
    return Told(chain_task_id, wallet, update.status, update.raw, answer.code, answer.action)


def _worker_json(worker: Worker) -> dict[str, Any]:
    model = worker.model
    return {
        "id": worker.wallet.removeprefix("0x")[:24],
        "name": model.name,
        "walletAddress": worker.wallet,
        "os": model.os,
        "cpu": model.cpu,
        "cpuNb": model.cpu_nb,
        "maxNbTasks": worker.slots,
        "memorySize": model.memory_size,
        "gpuEnabled": model.gpu_enabled,
        "teeEnabled": model.tee_enabled,
        "tdxEnabled": model.tdx_enabled,
        "participatingChainTaskIds": worker.participating,
        "computingChainTaskIds": worker.computing,
        "lastAliveDate": spring.date(spring.now()),
        "lastReplicateDemandDate": spring.date(spring.now()),
        "excludedTags": [],
    }
