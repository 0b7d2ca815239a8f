from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.engine.logs import STDERR, STDOUT, Demultiplexer, Tail
from iexec_worker.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

    Spec = Callable[..., ContainerSpec]


@given(st.lists(st.text(max_size=30), max_size=20), st.integers(1, 40))
def test_the_tail_is_the_end_of_all(parts: list[str], size: int) -> None:
    tail = Tail(size)
    for part in parts:
        tail.add(part.encode())

    assert tail.text() == "".join(parts)[-size:]


def test_a_character_in_two_pieces_is_one() -> None:
    tail = Tail()
    for byte in "é日𝄞".encode():
        tail.add(bytes([byte]))

    assert tail.text() == "é日𝄞"


def test_what_is_no_text_is_shown_as_such() -> None:
    tail = Tail()
    tail.add(b"\xff\xfeok\x00")

    assert tail.text() == "��ok\x00"


def test_gigabytes_take_no_memory() -> None:
    tail = Tail()
    chunk = 65_536 * b"x"
    tracemalloc.start()
    for _ in range(16_384):
        tail.add(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(tail.text()) == 100_000
    assert peak < 5_000_000


PIECES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=20)), max_size=9)


@given(PIECES, st.integers(1, 40))
def test_each_stream_gets_its_pieces_however_they_arrive(
    pieces: list[tuple[int, bytes]], at_once: int
) -> None:
    wire = b"".join(struct.pack(">B3xI", stream, len(data)) + data for stream, data in pieces)
    got = {STDOUT: bytearray(), STDERR: bytearray()}
    streams = Demultiplexer({stream: sink.extend for stream, sink in got.items()})

    for start in range(0, len(wire), at_once):
        streams.feed(wire[start : start + at_once])

    for stream, sink in got.items():
        assert sink == b"".join(data for of, data in pieces if of == stream)


def test_a_log_that_the_engine_cannot_read_on_is_told() -> None:
    with pytest.raises(Unavailable, match=r"broken off .*invalid character"):
        Demultiplexer({}).feed(struct.pack(">B3xI", 3, 17) + b"invalid character")


@pytest.mark.docker
@pytest.mark.slow
async def test_each_stream_has_its_own_end(containers: Containers, spec: Spec) -> None:
    # Far more lines on one than on the other, which no common tail would survive.
    script = "echo first; yes 0123456789 2>&1 | head -n 200000 >&2; echo last; echo end >&2"
    async with containers.running(spec("busybox", "sh", "-c", script)) as container:
        await containers.wait(container, limit=60)
        logs = await containers.logs(container)

    assert logs.stdout == "first\nlast\n"
    assert len(logs.stderr) == 100_000
    assert logs.stderr.endswith("89\nend\n")


@pytest.mark.docker
@pytest.mark.slow
async def test_whole_streams_are_written_to_files(
    containers: Containers, spec: Spec, tmp_path: Path
) -> None:
    script = "yes 0123456789 | head -n 50000; echo oops >&2"
    async with containers.running(spec("busybox", "sh", "-c", script)) as container:
        await containers.wait(container, limit=60)
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            logs = await containers.logs(container, stdout=out, stderr=err)

    assert (tmp_path / "out").read_text() == 50_000 * "0123456789\n"
    assert (tmp_path / "err").read_text() == "oops\n"
    assert len(logs.stdout) == 100_000


@pytest.mark.docker
async def test_a_full_disk_is_told_as_such(containers: Containers, spec: Spec) -> None:
    async with containers.running(spec("sh", "-c", "echo hello")) as container:
        await containers.wait(container, limit=60)
        full = await trio.to_thread.run_sync(lambda: open("/dev/full", "wb", buffering=0))  # noqa: PTH123, SIM115  # closed below
        with full, pytest.raises(Unavailable, match="is the disk full"):
            await containers.logs(container, stdout=full)
