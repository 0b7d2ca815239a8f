"""What an app leaves in its output folder can harm nobody: real containers, and a canary."""

from __future__ import annotations

import hashlib
import os
import time
import tracemalloc
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio
from structlog.testing import capture_logs

from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.errors import StageFailed
from iexec_worker.files import remove
from iexec_worker.results import archive, computed_file, digest
from iexec_worker.results.tree import Limits
from iexec_worker.stages.running import printed
from iexec_worker.stages.running.developer_log import tree
from iexec_worker.wire import Cause
from tests.hostile.outputs import CANARY, Stranger, build

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.backstage import Backstage

pytestmark = [pytest.mark.docker, pytest.mark.slow]

NO_DIGEST: Final = Cause.POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED
NO_COPY: Final = Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED
NOT_READ: Final = Cause.POST_COMPUTE_COMPUTED_FILE_NOT_FOUND
NO_ARCHIVE: Final = Cause.POST_COMPUTE_OUT_FOLDER_ZIP_FAILED
NO_FOLDER: Final = Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE


@pytest.fixture(scope="module")
def _image(stage: Backstage, engine_url: str) -> str:
    return stage.run(build, engine_url)


@pytest.fixture
async def stranger(_image: str, engine_url: str, tmp_path: Path) -> AsyncIterator[Stranger]:
    async with aclosing(Engine(engine_url)) as engine:
        stranger = Stranger(Containers(engine), tmp_path)
        yield stranger
        assert not stranger.leaked()
        # Whatever it was, nothing of it stays.
        await trio.to_thread.run_sync(remove, stranger.task.folder.root)
        assert not stranger.task.folder.root.exists()
        assert stranger.canary.read_bytes() == CANARY


@pytest.mark.parametrize(
    "path",
    [
        *("/iexec_out/../../canary", "/iexec_out/../../../canary", "/../canary", "../canary"),
        *("{canary}", "/iexec_out/{canary}", "/iexec_out/link", "/iexec_out/folder/canary"),
        *("/iexec_out/folder/../canary", "/iexec_out/up", "/iexec_out/round", "/dev/zero"),
        *("/iexec_out/zero", "/iexec_out/fifo", "/proc/self/environ", "/iexec_out/environ"),
        *("/computed.json", "/iexec_out.zip", "/iexec_out/a\\u0000b", "/iexec_out"),
    ],
)
async def test_no_result_leads_out_of_the_folder(stranger: Stranger, path: str) -> None:
    await stranger.runs(
        """
        $b ln -s $CANARY link; $b ln -s ${CANARY%/*} folder; $b ln -s ../.. up; $b ln -s round round
        $b ln -s /proc/self/environ environ
        $b mkfifo fifo
        $b mknod zero c 1 5 2> /dev/null || $b ln -s /dev/zero zero
        """,
        path=path.format(canary=stranger.canary),
    )
    with trio.fail_after(10):
        assert await stranger.cause() is NO_DIGEST


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("$b mkfifo computed.json", NO_COPY),
        ("$b ln -s $CANARY computed.json", NO_COPY),
        ("$b ln -s /dev/zero computed.json", NO_COPY),
        ("$b mknod computed.json c 1 5 2> /dev/null || $b mkfifo computed.json", NO_COPY),
        ("$b mkdir computed.json", NO_COPY),
        ("$b nc -lU computed.json & $b sleep 1; kill $!", NO_COPY),
        ("$b truncate -s 2M computed.json", NO_COPY),
        # Nine gigabytes are fewer than a result may have: to pack them would take a minute.
        ("$b truncate -s 9G computed.json", NO_COPY),
        (": > computed.json", NOT_READ),
        ("$b yes '[' | $b head -n 500000 | $b tr -d '\\n' > computed.json", NOT_READ),
        ("$b yes '{\"a\":' | $b head -n 150000 | $b tr -d '\\n' > computed.json", NOT_READ),
        ('echo \'{"deterministic-output-path": ["/iexec_out"]}\' > computed.json', NOT_READ),
        ("$b yes 9 | $b head -n 500000 | $b tr -d '\\n' > computed.json", NOT_READ),
        ("$b head -c 1000000 /dev/urandom > computed.json", NOT_READ),
        ("cd /; $b chmod 0 /iexec_out; :", NO_COPY),
    ],
)
async def test_a_computed_file_that_is_none_is_said(
    stranger: Stranger, script: str, cause: Cause
) -> None:
    await stranger.runs(script)
    with trio.fail_after(20):
        assert await stranger.cause() is cause


async def test_what_a_computed_file_says_of_the_digest_is_not_believed(stranger: Stranger) -> None:
    await stranger.runs(
        f"""
        printf result > result
        printf '{{"deterministic-output-path": "/iexec_out/result", "result-digest": "{64 * "1"}",
            "task-id": "0x1", "enclave-signature": "0x2"}}' > computed.json
        """
    )
    await stranger.result()
    assert stranger.digest == "0x" + hashlib.sha256(b"result").hexdigest()


async def test_links_that_change_while_they_are_read_lead_nowhere(stranger: Stranger) -> None:
    """An app that was left running, or another that shares its folder, swaps files for links."""
    script = """
        $b mkdir real; printf harmless > real/canary; printf harmless > plain
        while :; do
            $b ln -sfn ${CANARY%/*} way; $b ln -sf $CANARY file; $b ln -sf $CANARY computed.json
            $b rm -f way; $b cp -r real way; $b rm -f file; $b cp plain file
            $b rm -rf way computed.json; $b mv file other; printf '{}' > computed.json
            $b mv other file
        done
        """
    out, output = stranger.task.folder.iexec_out, stranger.task.folder.output
    limits, zipped = stranger.limits, stranger.task.folder.archive
    harmless = {hashlib.sha256(content).hexdigest() for content in (b"harmless", b"")}
    tries = read = 0
    async with stranger.running(script):
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline or not read:
            tries += 1
            for path in ("/iexec_out/way/canary", "/iexec_out/file"):
                computed = computed_file.parse(
                    b'{"deterministic-output-path": "%s"}' % path.encode()
                )
                look = partial(digest.digest, computed, output, limits, callback=False)
                try:
                    found = await trio.to_thread.run_sync(look)
                except (OSError, ValueError):
                    continue
                read += 1
                assert found.removeprefix("0x") in harmless
            for step in (
                partial(archive.zip_folder, out, zipped, limits),
                partial(computed_file.copy, out, output),
            ):
                try:
                    await trio.to_thread.run_sync(step)
                except (OSError, ValueError):
                    continue
                assert not stranger.leaked()
    assert read > 10, f"of {tries}"


@pytest.mark.hostile
@pytest.mark.timeout(300)
async def test_a_hundred_thousand_files_are_refused_and_removed(stranger: Stranger) -> None:
    await stranger.runs(
        "i=0; while [ $i -lt 100000 ]; do : > f$i; i=$((i + 1)); done", path="/iexec_out"
    )
    tracemalloc.start()
    try:
        with trio.fail_after(20):
            assert await stranger.cause() is NO_FOLDER
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.hostile
@pytest.mark.timeout(300)
async def test_a_hundred_thousand_folders_are_refused_too(stranger: Stranger) -> None:
    await stranger.runs(
        'i=0; while [ $i -lt 700 ]; do j=0; l=; while [ $j -lt 100 ]; do l="$l $i/$j"; '
        "j=$((j + 1)); done; $b mkdir $i $l; i=$((i + 1)); done"
    )
    with trio.fail_after(20):
        assert await stranger.cause() is NO_FOLDER


async def test_a_sparse_file_of_a_terabyte_is_not_read(stranger: Stranger) -> None:
    await stranger.runs("$b truncate -s 1024G result", path="/iexec_out/result")
    with trio.fail_after(10):
        assert await stranger.cause() is NO_ARCHIVE


@pytest.mark.hostile
@pytest.mark.timeout(300)
async def test_a_sparse_file_of_a_gigabyte_costs_time_alone(stranger: Stranger) -> None:
    await stranger.runs("$b truncate -s 1G result", path="/iexec_out/result")
    tracemalloc.start()
    try:
        with trio.fail_after(120):
            await trio.to_thread.run_sync(
                archive.zip_folder,
                stranger.task.folder.iexec_out,
                stranger.task.folder.archive,
                stranger.limits,
            )
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert stranger.task.folder.archive.stat().st_size < 5_000_000


@pytest.mark.hostile
async def test_a_zip_of_zeros_is_a_file_like_any_other(stranger: Stranger) -> None:
    await stranger.runs(
        "$b dd if=/dev/zero bs=1M count=300 2> /dev/null | $b gzip > bomb.zip",
        path="/iexec_out/bomb.zip",
    )
    bomb = (stranger.task.folder.iexec_out / "bomb.zip").read_bytes()
    assert (await stranger.result())["bomb.zip"] == bomb
    assert stranger.digest == "0x" + hashlib.sha256(bomb).hexdigest()


@pytest.mark.hostile
async def test_folders_without_an_end_are_refused_and_removed(stranger: Stranger) -> None:
    await stranger.runs("i=0; while [ $i -lt 2000 ]; do $b mkdir d && cd d; i=$((i + 1)); done")
    with trio.fail_after(20):
        assert await stranger.cause() is NO_FOLDER


async def test_names_act_on_no_terminal_and_are_kept(stranger: Stranger) -> None:
    await stranger.runs(
        """
        printf 1 > "$(printf 'a\\nb')"; printf 2 > "$(printf '\\033[31mred')"; printf 3 > '-rf *'
        printf 4 > "$(printf '\\377')"; printf 5 > ' '; printf 6 > 'a\\b'
        $b mkfifo "$(printf 'f\\n\\033[2J')"
        """,
        path="/iexec_out/ ",
    )
    with capture_logs() as logs:
        files = await stranger.result()
    del files["computed.json"]
    assert sorted(files.values()) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert {"a\nb", "\x1b[31mred", "-rf *", " "} < set(files)
    assert str(logs).isprintable()
    # Where strangers' names go to the log as they are, the log itself escapes them.
    assert "\x1b[31mred" in await trio.to_thread.run_sync(tree, stranger.task.folder.iexec_out)


async def test_a_name_that_is_too_long_is_told_without_its_escapes(stranger: Stranger) -> None:
    await stranger.runs("""printf 1 > "$(printf '\\033[31m%040d\\n' 1)x" """)
    assert await stranger.cause() is Cause.POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME


async def test_a_crowd_of_pipes_is_left_out_in_one_line(stranger: Stranger) -> None:
    await stranger.runs(
        'i=0; while [ $i -lt 1000 ]; do l="$l f$i"; i=$((i + 1)); done; $b mkfifo $l',
        path="/iexec_out/computed.json",
    )
    with capture_logs() as logs:
        assert list(await stranger.result()) == ["computed.json"]
    (told,) = [line for line in logs if line["log_level"] != "debug"]
    assert (told["number"], len(told["files"])) == (1000, 10)


async def test_files_of_other_users_without_permissions_are_archived(stranger: Stranger) -> None:
    await stranger.runs(
        """
        $b mkdir closed; printf secret > closed/file; printf result > result
        $b chown -R 12345:23456 closed; $b chmod 0 closed/file closed result; $b chmod 1777 .
        """,
        path="/iexec_out/result",
    )
    if os.geteuid() != 0:
        pytest.skip("another user needs the engine's help: see tests/engine/test_ownership.py")
    files = await stranger.result()
    assert (files["closed/file"], files["result"]) == (b"secret", b"result")


@pytest.mark.parametrize(
    "script",
    [
        "$b ln -s $CANARY stdout.txt",
        "$b mkdir -p stdout.txt/x",
        "$b mkfifo stdout.txt",
        "$b ln -s . stdout.txt",
    ],
)
async def test_what_stands_where_the_output_goes_is_replaced(
    stranger: Stranger, script: str
) -> None:
    await stranger.runs(script, path="/iexec_out/computed.json")
    folder = stranger.task.folder
    for name in printed.NAMES:
        (folder.output / name).write_bytes(b"printed")
    with trio.fail_after(5):
        await trio.to_thread.run_sync(printed.keep, folder)
        files = await stranger.result()
    assert files.get("stderr.txt") == b"printed"
    assert files.get("stdout.txt") in (b"printed", None)


async def test_an_archive_is_not_made_where_a_link_of_the_app_leads(stranger: Stranger) -> None:
    """The app has no way to the folder above its own; should it get one, nothing is followed."""
    output = stranger.task.folder.output
    for name in (".iexec_out.zip.part", ".computed.json.part", "iexec_out.zip", "computed.json"):
        (output / name).symlink_to(stranger.canary)
    await stranger.runs("printf 1 > result", path="/iexec_out/result")
    await stranger.result()
    assert not (output / "iexec_out.zip").is_symlink()
    assert not (output / "computed.json").is_symlink()


async def test_more_than_the_operator_allows_has_its_cause(stranger: Stranger) -> None:
    await stranger.runs("$b dd if=/dev/urandom of=result bs=1M count=3", path="/iexec_out/result")
    stranger.limits = Limits(bytes=2 * 1024**2)
    assert await stranger.cause() is NO_ARCHIVE
    stranger.limits = Limits(entries=1)
    assert await stranger.cause() is NO_FOLDER
    stranger.limits = Limits()
    assert "result" in await stranger.result()
    await stranger.runs("$b rm computed.json")
    with pytest.raises(StageFailed):
        await stranger.result()
