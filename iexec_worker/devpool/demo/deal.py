"""What the requester of a demo buys, with everything that has to be on the chain before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.chain.orders import Purchase
from iexec_worker.devpool.chain.receiver import deploy_receiver
from iexec_worker.errors import Fatal
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.demo.scene import Scene

#: Seconds of the category, the limit of one computation: five minutes are the market's shortest,
#: somebody's own image may need more.
_SHORT: Final = 300
_LONG: Final = 3_600


@frozen
class Deal:
    """*receiver*: the contract that is called back, the zero address without one."""

    deal_id: str
    task_ids: tuple[str, ...]
    receiver: str


async def buy(scene: Scene) -> Deal:
    """Register app and dataset, sign the orders, match them."""
    options, pool, trust = scene.options, scene.pool, scene.trust
    receiver = ZERO_ADDRESS
    if options.callback:
        receiver = await deploy_receiver(pool.node.sender(pool.node.keys[3]))
    purchase = Purchase(
        app=await pool.market.deploy_app(scene.image, enclave=trust.enclave if trust else ""),
        workerpool=pool.chain.pool_address,
        category=category_id(_LONG if options.image else _SHORT),
        dataset=await _dataset(scene, options.dataset) if options.dataset else ZERO_ADDRESS,
        params=params(options.app_args, input_files=options.input_files),
        trust=options.trust,
        tag=trust.tag if trust else ZERO_HASH,
        callback=receiver,
        volume=options.tasks,
    )
    bought = await pool.market.buy(purchase)
    return Deal(bought.deal_id, bought.task_ids, receiver)


async def _dataset(scene: Scene, path: Path) -> str:
    """Publish the file on the pool's gateway, and on the chain with its checksum."""
    pool = scene.pool
    try:
        content = await trio.Path(path).read_bytes()
    except OSError as error:
        raise Fatal(f"dataset {path} cannot be read: {error.strerror}") from error
    location = pool.result_proxy_url + await pool.add_file(content)
    checksum = "0x" + hashlib.sha256(content).hexdigest()
    dataset = await pool.market.deploy_dataset(location.encode(), name=path.name, checksum=checksum)
    if scene.trust is not None:
        scene.trust.entrust(pool, dataset)
    return dataset
