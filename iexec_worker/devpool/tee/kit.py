"""All that trusted tasks need besides a pool: images, and a machine that can take such tasks."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool import images
from iexec_worker.devpool.registry import registry
from iexec_worker.devpool.tee import enclave_images
from iexec_worker.devpool.tee.enclave_images import PARTS, entrypoint
from iexec_worker.devpool.tee.machine import make_agent, sgx_machine
from iexec_worker.devpool.tee.properties import Properties, StageProperties
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from pathlib import Path

    from iexec_worker.devpool.registry import Registry

_SGX: Final = frozenset({TeeFramework.SCONE, TeeFramework.GRAMINE})


@frozen
class Kit:
    """
    *properties* are what an SMS has to say, *app* is the image of an app.

    With *variables* a worker takes the tasks.
    """

    properties: Properties
    app: str
    variables: Mapping[str, str]


@asynccontextmanager
async def open_kit(
    host: str, store: Registry, folder: Path, frameworks: Collection[TeeFramework]
) -> AsyncIterator[Kit]:
    """
    Make the images for *frameworks*, push them into *store*, and prepare the machine in *folder*.

    The engine at *host* has none of the images then: workers have to pull them. Raises Fatal
    without the rights to make devices.
    """
    names = {part: f"{store.address}/iexec-demo-{part}:1.0" for part in PARTS}
    variables: dict[str, str] = {}
    las = ""
    async with AsyncExitStack() as stack:
        if _SGX & frozenset(frameworks):
            root = stack.enter_context(sgx_machine(folder / "host"))
            variables |= {
                "IEXEC_WORKER_SGX_DRIVER_MODE": "NATIVE",
                "IEXEC_WORKER_HOST_ROOT": str(root),
            }
        if TeeFramework.TDX in frameworks:
            agent = await trio.to_thread.run_sync(make_agent, folder / "bin")
            variables["IEXEC_WORKER_TDX_AGENT"] = str(agent)
        if TeeFramework.SCONE in frameworks:
            scontain = await stack.enter_async_context(
                registry(folder / "scontain", protected=True)
            )
            las = f"{scontain.address}/las:1.0"
            variables |= _scontain(scontain)
            await enclave_images.build_las(host, las)
            stack.push_async_callback(_forget, host, las)
            await _publish(host, scontain, las)
        await enclave_images.build(host, names)
        for image in names.values():
            stack.push_async_callback(_forget, host, image)
            await _publish(host, store, image)
        yield Kit(_properties(names, las), names["app"], variables)


def _scontain(store: Registry) -> dict[str, str]:
    prefix = "IEXEC_WORKER_SCONTAIN_REGISTRY"
    return {
        f"{prefix}_NAME": store.address,
        f"{prefix}_USERNAME": store.username,
        f"{prefix}_PASSWORD": store.password,
    }


def _properties(names: Mapping[str, str], las: str) -> Properties:
    pre, post = (
        StageProperties(names[part], entrypoint=entrypoint(part))
        for part in ("pre-compute", "post-compute")
    )
    return Properties(pre=pre, post=post, las_image=las)


async def _publish(host: str, store: Registry, image: str) -> None:
    await images.push(host, image, username=store.username, password=store.password)
    await images.remove(host, image)


async def _forget(host: str, image: str) -> None:
    with trio.move_on_after(10, shield=True):
        await images.remove(host, image)
