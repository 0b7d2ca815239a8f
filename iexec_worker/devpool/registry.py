"""An image registry on this machine, open or with credentials."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.child import child, find
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_START: Final = 20.0

#: What a protected registry wants to see.
USERNAME: Final = "puller"
PASSWORD: Final = "only-for-tests"  # noqa: S105  # it protects nothing but a test's images
#: bcrypt of it: the only kind the registry takes.
_HASH: Final = "$2y$05$devpooldevpooldevpooleInKMxAtrKPIV1rfLjHzrdpYlLBw7Vg2"

_LISTENING: Final = re.compile(r"listening on (127\.0\.0\.1:\d+)")


@frozen
class Registry:
    """A running registry. It speaks plain HTTP, which engines accept on a loopback address."""

    address: str
    username: str
    password: str

    @property
    def port(self) -> int:
        """The port on the loopback address."""
        return int(self.address.rpartition(":")[2])


@asynccontextmanager
async def registry(folder: Path, *, protected: bool = False) -> AsyncIterator[Registry]:
    """
    A registry that keeps its images in *folder* and ends with the scope.

    A *protected* one refuses every request without the credentials. Raises Fatal when
    docker-registry is missing or does not come up.
    """
    binary = find("docker-registry")
    if binary is None:
        raise Fatal(
            "docker-registry is not installed: run "
            "`apt-get install -y --no-install-recommends docker-registry` as root"
        )
    config = await trio.to_thread.run_sync(_configure, folder, protected)
    command = (binary, "serve", str(config))
    async with child(command, name="docker-registry", log=folder / "registry.log") as process:

        async def listening() -> bool:
            return _LISTENING.search(process.log.read_text()) is not None

        await process.serving(listening, limit=_START)
        found = _LISTENING.search(process.log.read_text())
        assert found is not None
        credentials = (USERNAME, PASSWORD) if protected else ("", "")
        yield Registry(found[1], *credentials)


def _configure(folder: Path, protected: bool) -> Path:
    """Write the configuration; every JSON document is a YAML one."""
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "fields": {}, "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "images")},
            "delete": {"enabled": True},
        },
        "http": {"addr": "127.0.0.1:0"},
    }
    if protected:
        passwords = folder / "htpasswd"
        passwords.write_text(f"{USERNAME}:{_HASH}\n")
        settings["auth"] = {"htpasswd": {"realm": "devpool", "path": str(passwords)}}
    config = folder / "config.yml"
    config.write_text(json.dumps(settings))
    return config
