"""The images of a TEE task: pre-compute, app and post-compute of one layer, and Scone's LAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.devpool.tee.runtime import launcher, runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS: Final = ("pre-compute", "app", "post-compute")

#: Where LAS listens.
LAS_PORT: Final = 18_766

_MODULE: Final = "iexec_worker.devpool.tee.enclave.main"


def entrypoint(part: str) -> str:
    """How *part* is started in its image: what an SMS has to say of it."""
    return f"/bin/{part}"


async def build(host: str, names: Mapping[str, str]) -> None:
    """Make the images of the parts in *names* (part: `name:tag`) in the engine at *host*."""
    files = await trio.to_thread.run_sync(runtime, _MODULE)
    files |= {entrypoint(part): launcher(_MODULE, part) for part in PARTS}
    # The app behaves like the standard one, once it has its variables.
    files |= images.demo_app().files
    for part, image in names.items():
        await images.build(host, image, Recipe(files, entrypoint=(entrypoint(part),)))


async def build_las(host: str, image: str) -> None:
    """Make a LAS that takes connections and says nothing of use: attestation needs hardware."""
    command = ("/bin/busybox", "httpd", "-f", "-p", str(LAS_PORT), "-h", "/tmp")  # noqa: S108 - the image's
    await images.build(host, image, Recipe(entrypoint=command))
