from __future__ import annotations

import os
import random
import socket
import zipfile
from typing import TYPE_CHECKING, Final

import pytest
import trio
from structlog.testing import capture_logs

from iexec_worker.results.archive import too_long_name, zip_folder
from iexec_worker.results.tree import Limits

from .trees import TREES, grow, names_in, plain_archive

if TYPE_CHECKING:
    from pathlib import Path

USUAL: Final = Limits()


async def zipped(source: Path, destination: Path, limits: Limits = USUAL) -> dict[str, bytes]:
    await trio.to_thread.run_sync(zip_folder, source, destination, limits)
    with zipfile.ZipFile(destination) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
async def test_random_folders_give_what_a_plain_reading_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thousand times to wait for a busy disk, and nothing to lose.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for seed in range(TREES):
        folder = tmp_path / str(seed)
        folder.mkdir()
        grow(folder, random.Random(seed))
        assert await zipped(folder, tmp_path / "out.zip") == plain_archive(folder), f"seed {seed}"


async def test_the_same_files_give_the_same_bytes(out: Path, output: Path) -> None:
    grow(out, random.Random(1))
    await zipped(out, output / "one.zip")
    for name in names_in(out):
        os.utime(out / name, (0, 0), follow_symlinks=False)
    await zipped(out, output / "two.zip")
    assert (output / "one.zip").read_bytes() == (output / "two.zip").read_bytes()


async def test_a_link_becomes_an_empty_file(out: Path, output: Path, tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(b"canary")
    (out / "link").symlink_to(tmp_path / "canary")
    (out / "folder").symlink_to(tmp_path)
    assert await zipped(out, output / "out.zip") == {"link": b"", "folder": b""}


async def test_what_is_neither_file_nor_link_is_left_out_and_told(out: Path, output: Path) -> None:
    os.mkfifo(out / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(out / "socket"))
        (out / "file").write_bytes(b"data")
        with trio.fail_after(2), capture_logs() as logs:
            assert await zipped(out, output / "out.zip") == {"file": b"data"}
    assert [entry["files"] for entry in logs] == [["'fifo'", "'socket'"]]


async def test_an_empty_folder_gives_an_empty_archive(out: Path, output: Path) -> None:
    (out / "folder").mkdir()
    assert await zipped(out, output / "out.zip") == {}


async def test_a_large_file_gets_the_large_form(
    out: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 4 GiB take half a minute; the form is chosen by size before anything is read.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    (out / "large").write_bytes(bytes(2000))
    (out / "small").write_bytes(bytes(10))
    assert await zipped(out, output / "out.zip") == {"large": bytes(2000), "small": bytes(10)}
    with zipfile.ZipFile(output / "out.zip") as archive:
        assert archive.getinfo("large").extract_version == zipfile.ZIP64_VERSION
        assert archive.getinfo("small").extract_version < zipfile.ZIP64_VERSION


async def test_a_cancelled_archive_leaves_nothing(out: Path, output: Path) -> None:
    with (out / "sparse").open("wb") as file:
        file.truncate(1 << 33)
    with trio.fail_after(5), trio.move_on_after(0.05) as scope:
        await trio.to_thread.run_sync(zip_folder, out, output / "out.zip", USUAL)
    assert scope.cancelled_caught
    assert names_in(output) == ["iexec_out"]


async def test_names_that_are_no_text_are_kept_apart(out: Path, output: Path) -> None:
    for name in (b"\xff", b"\xfe"):
        (out / os.fsdecode(name)).write_bytes(name)
    assert await zipped(out, output / "out.zip") == {r"\xff": b"\xff", r"\xfe": b"\xfe"}
    (out / r"\xff").write_bytes(b"another")
    with pytest.raises(ValueError, match="two files"):
        await zipped(out, output / "out.zip")


async def test_folders_without_an_end_are_refused(out: Path, output: Path) -> None:
    folder = out
    for _ in range(USUAL.depth + 1):
        folder /= "d"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match="256 deep"):
        await zipped(out, output / "out.zip")


async def test_what_is_more_than_a_result_may_have_is_refused(out: Path, output: Path) -> None:
    (out / "folder").mkdir()
    for name in ("a", "folder/b"):
        (out / name).write_bytes(bytes(10))
    assert len(await zipped(out, output / "out.zip", Limits(entries=3, bytes=20, depth=1))) == 2
    for limits, fact in (
        (Limits(entries=2), "more files and folders"),
        (Limits(entries=1), "more files and folders"),
        (Limits(bytes=19), "larger than a result may be"),
        (Limits(depth=0), "0 deep"),
    ):
        with pytest.raises(ValueError, match=fact):
            await zipped(out, output / "out.zip", limits)
    with pytest.raises(ValueError, match="more files"):
        await trio.to_thread.run_sync(too_long_name, out, Limits(entries=2))


@pytest.mark.parametrize("letter", ["x", "\udcff"])
async def test_paths_that_no_archive_can_hold_are_refused(
    out: Path, output: Path, letter: str
) -> None:
    folder = os.open(out, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(250 * letter, dir_fd=folder)
        inner = os.open(250 * letter, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    with pytest.raises(ValueError, match="longer than 4096 bytes"):
        await zipped(out, output / "out.zip")


async def test_a_crowd_of_oddities_is_one_line_of_the_log(out: Path, output: Path) -> None:
    for number in range(100):
        os.mkfifo(out / f"{number:03}\n\x1b[31m")
    with capture_logs() as logs:
        await zipped(out, output / "out.zip")
    (line,) = logs
    assert (line["number"], len(line["files"])) == (100, 10)
    assert line["files"][0] == r"'000\n\x1b[31m'"


async def test_a_folder_that_is_missing_or_a_link_is_an_os_error(out: Path, output: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await trio.to_thread.run_sync(too_long_name, out / "missing", USUAL)
    (out / "link").symlink_to("/etc")
    with pytest.raises(OSError, match="link"):
        await zipped(out / "link", output / "out.zip")


@pytest.mark.parametrize(
    ("name", "too_long"),
    [
        (31 * "x", False),
        (32 * "x", True),
        (15 * "\U0001f600" + "x", False),
        (16 * "\U0001f600", True),
    ],
)
@pytest.mark.parametrize("kind", ["file", "link"])
async def test_names_are_measured_in_utf_16(
    out: Path, name: str, kind: str, too_long: bool
) -> None:
    folder = out / (40 * "d")
    folder.mkdir()
    if kind == "file":
        (folder / name).touch()
    else:
        (folder / name).symlink_to("nowhere")
    found = await trio.to_thread.run_sync(too_long_name, out, USUAL)
    assert found == (name if too_long else None)


async def test_the_folder_keeps_its_long_name(out: Path) -> None:
    (out / (40 * "d")).mkdir()
    os.mkfifo(out / (40 * "f"))
    assert await trio.to_thread.run_sync(too_long_name, out, USUAL) is None
