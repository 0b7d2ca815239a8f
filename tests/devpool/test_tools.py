from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool import tools
from iexec_worker.devpool.tools import Package, Tools, anvil_package, provide
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from pathlib import Path


def package(integrity: str = "") -> Package:
    return Package(name="@a/b", version="1", integrity=integrity, folder="package/bin/")


def tarball(folder: Path, *names: str) -> str:
    """Write a package with these files; returns its integrity."""
    with tarfile.open(folder / "a-b-1.tgz", "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o4755, 4
            archive.addfile(member, io.BytesIO(b"data"))
    content = (folder / "a-b-1.tgz").read_bytes()
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


@pytest.mark.parametrize(
    ("system", "machine", "flavour"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
    ],
)
def test_anvil_is_taken_for_this_platform(system: str, machine: str, flavour: str) -> None:
    assert anvil_package(system, machine).spec == f"@foundry-rs/anvil-{flavour}@1.7.1"


def test_a_platform_without_anvil_is_told() -> None:
    with pytest.raises(Fatal, match="anvil is not published for Linux on riscv64"):
        anvil_package("Linux", "riscv64")


def test_only_the_wanted_files_are_unpacked(tmp_path: Path) -> None:
    integrity = tarball(
        tmp_path, "package/bin/tool", "package/install.js", "package/bin/../../../evil"
    )

    tools._unpack(package(integrity), tmp_path)

    files = [p for p in (tmp_path / "unpacked").rglob("*") if p.is_file()]
    assert files == [tmp_path / "unpacked/package/bin/tool"]
    assert files[0].stat().st_mode & 0o7777 == 0o755


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    tarball(tmp_path, "package/bin/tool")

    with pytest.raises(Fatal, match=r"@a/b@1 has sha512 .* instead of pinned: the registry gave"):
        tools._unpack(package("pinned"), tmp_path)

    assert not (tmp_path / "unpacked").exists()


def test_the_slower_of_two_processes_takes_what_is_there(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)

    tools._move(tmp_path / "theirs", tmp_path / "target")
    tools._move(tmp_path / "mine", tmp_path / "target")

    assert (tmp_path / "target" / "file").read_text() == "theirs"


async def test_missing_npm_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Fatal) as caught:
        await provide(tmp_path / "cache")

    assert "run `apt-get install -y --no-install-recommends nodejs npm` as root" in str(
        caught.value
    )
    assert list((tmp_path / "cache").iterdir()) == []


async def test_an_npm_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Fatal, match=r"npm cannot fetch @foundry-rs/anvil-\S+: no network"):
        await provide(tmp_path / "cache")


@pytest.mark.node
@pytest.mark.slow
async def test_the_tools_are_what_the_pool_needs(tools: Tools) -> None:
    assert tools.anvil.stat().st_mode & 0o100
    assert (tools.poco / "artifacts/contracts/Diamond.sol/Diamond.json").is_file()
