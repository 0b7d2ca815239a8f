"""
What the embedded pool is made of, fetched once into a cache folder: anvil and PoCo's contracts.

Both come as packages of npm's registry. `npm pack` takes a tarball without installing it: nothing
of it runs, and its dependencies, which npm could not get everywhere, are not needed.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import structlog
import trio
from attrs import frozen

from iexec_worker.errors import Fatal

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A download of 15 MB over a slow line; a registry that says nothing for so long is down.
_LIMIT: Final = 300.0

_ANVIL_VERSION: Final = "1.7.1"


@frozen
class Tools:
    """Where the pieces are: anvil's binary, and the unpacked PoCo package (it has `artifacts/`)."""

    anvil: Path
    poco: Path


@frozen
class Package:
    """
    A package of npm's registry, exactly; of its files only those under *folder* are kept.

    *integrity* is npm's (sha512, base64); "" leaves the check to npm.
    """

    name: str
    version: str
    integrity: str
    folder: str

    @property
    def spec(self) -> str:
        """The package as npm's command line names it."""
        return f"{self.name}@{self.version}"

    @property
    def directory(self) -> str:
        """Its folder in the cache."""
        return f"{self.name.replace('@', '').replace('/', '-')}-{self.version}"


POCO: Final = Package(
    name="@iexec/poco",
    version="6.1.0",
    integrity="BPbDtf2fgQuotr6rf74ACVdwlKqkErEZ8qLbTWM+2CIBj2EX3+6KBGWsFoudoOGjgT7vUJ3jeNX8SWvHzSHg6A==",
    folder="package/artifacts/",
)

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_INTEGRITY: Final = {
    "linux-amd64": (
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
    ),
}


def anvil_package(system: str, machine: str) -> Package:
    """The package with anvil's binary for a platform, as `platform` names it; Fatal if none has."""
    architecture = _ARCHITECTURES.get(machine.lower())
    if system not in ("Linux", "Darwin") or architecture is None:
        raise Fatal(f"anvil is not published for {system} on {machine}: use Linux or macOS")
    flavour = f"{system.lower()}-{architecture}"
    return Package(
        name=f"@foundry-rs/anvil-{flavour}",
        version=_ANVIL_VERSION,
        integrity=_INTEGRITY.get(flavour, ""),
        folder="package/bin/",
    )


async def provide(cache: Path) -> Tools:
    """
    The tools, from *cache* or fetched into it; safe when several processes do it at once.

    Raises Fatal, with what to do, when npm is missing, fails, or brings something else.
    """
    anvil, poco = [
        await _provided(cache, package)
        for package in (anvil_package(platform.system(), platform.machine()), POCO)
    ]
    return Tools(anvil=anvil / "package" / "bin" / "anvil", poco=poco / "package")


async def _provided(cache: Path, package: Package) -> Path:
    target = cache / package.directory
    if not await trio.Path(target).exists():
        log.info("fetching", package=package.spec, cache=str(cache))
        await _fetch(cache, package, target)
    return target


async def _fetch(cache: Path, package: Package, target: Path) -> None:
    """Fill a folder beside *target* and rename it: nobody ever sees a part of a package."""
    await trio.Path(cache).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as name:
        folder = Path(name)
        await _pack(package, folder)
        await trio.to_thread.run_sync(_unpack, package, folder)
        _move(folder / "unpacked", target)


async def _pack(package: Package, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Fatal(
            f"npm is needed to fetch {package.spec} and is not installed: run "
            "`apt-get install -y --no-install-recommends nodejs npm` as root"
        )
    with trio.move_on_after(_LIMIT):
        done = await trio.run_process(
            [npm, "pack", package.spec, "--loglevel", "error", "--pack-destination", "."],
            cwd=folder,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip()[-500:]
            raise Fatal(f"npm cannot fetch {package.spec}: {said or 'it gave no reason'}")
        return
    raise Fatal(f"npm did not fetch {package.spec} within {_LIMIT:g} s: is its registry reachable?")


def _unpack(package: Package, folder: Path) -> None:
    """Check the tarball in *folder* and take the wanted files out of it, below `unpacked`."""
    tarball = next(folder.glob("*.tgz"))
    found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if package.integrity not in ("", found):
        raise Fatal(
            f"{package.spec} has sha512 {found} instead of {package.integrity}: "
            "the registry gave another package, do not use it"
        )
    with tarfile.open(tarball) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or not _wanted(member.name, package.folder):
                continue
            path = folder / "unpacked" / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(member.mode & 0o755)


def _wanted(name: str, folder: str) -> bool:
    return name.startswith(folder) and ".." not in name.split("/")


def _move(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        # Another process was faster; what it brought passed the same check.
        if not target.exists():
            raise
