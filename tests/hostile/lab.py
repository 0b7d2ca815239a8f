"""
A neighbourhood of this host: a namespace with addresses of all kinds, and a server on each.

No test may depend on the internet. Its part is played by an address that is public, but that
nobody uses any more: 192.88.99.1 was the way from IPv4 to IPv6 (RFC 7526).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PUBLIC: Final = "192.88.99.1"

#: What a task must not reach, by what it is.
PRIVATE: Final = {
    "a private network": "10.254.77.1",
    "another": "192.168.254.77",
    "and another": "172.31.254.77",
    "a carrier's NAT": "100.64.254.77",
    "the metadata service": "169.254.169.254",
}

PORT: Final = 8077

#: Answers every connection on every address, and every question for a name with PUBLIC.
_SERVER: Final = f"""
import selectors, socket
tcp = socket.create_server(("", {PORT}))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("10.254.77.1", 53))
print("up", flush=True)
chosen = selectors.DefaultSelector()
for one in (tcp, udp):
    chosen.register(one, selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        if key.fileobj is tcp:
            with tcp.accept()[0] as line:
                print(line.getsockname()[0], flush=True)
                line.sendall(b"reached\\n")
        else:
            asked, who = udp.recvfrom(512)
            end = asked.index(0, 12) + 5
            head = asked[:2] + bytes.fromhex("81800001000100000000")
            kind = asked[end - 4 : end - 2]
            answer = bytes.fromhex("c00c000100010000003c0004") + socket.inet_aton("{PUBLIC}")
            if kind != b"\\x00\\x01":
                head, answer = asked[:2] + bytes.fromhex("81800001000000000000"), b""
            udp.sendto(head + asked[12 - 0 : end] + answer, who)
"""


@frozen
class Lab:
    """The neighbourhood. *host* are addresses of this host."""

    host: tuple[str, ...]
    log: Path
    canary: list[str] = field(factory=list)

    @property
    def reached(self) -> set[str]:
        """The addresses to which anybody has connected."""
        return set(self.log.read_text().split()) - {"up"}

    @property
    def resolver(self) -> str:
        """A private nameserver."""
        return PRIVATE["a private network"]


@asynccontextmanager
async def open_lab(folder: Path) -> AsyncIterator[Lab]:
    """Build it and take it down; skips the test of a user who is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    # Where it could be built, these tests are the proof: they are not left out unseen.
    assert shutil.which("ip") is not None, "iproute2 is missing: `scripts/setup test` installs it"
    tag = uuid.uuid4().hex[:6]
    log = folder / "lab.log"
    with ExitStack() as stack:
        await _wire(stack, tag)
        out = stack.enter_context(log.open("wb"))
        server = ("ip", "netns", "exec", f"lab-{tag}", sys.executable, "-c", _SERVER)
        async with trio.open_nursery() as nursery:
            process = await nursery.start(partial(trio.run_process, server, stdout=out))
            with trio.fail_after(10):
                while not log.read_text():  # noqa: ASYNC110 - a file
                    await trio.sleep(0.02)
            assert process.returncode is None
            yield Lab(await _addresses(), log)
            nursery.cancel_scope.cancel()


async def _wire(stack: ExitStack, tag: str) -> None:
    inside, outside = f"labi-{tag}", f"labo-{tag}"
    inner = ("-n", f"lab-{tag}")
    await _must("netns", "add", f"lab-{tag}")
    # With the namespace goes all that is in it, and the routes to it.
    stack.callback(subprocess.run, ("ip", "netns", "delete", f"lab-{tag}"), check=False)
    # The kernel takes its time with that, and the next test wants the same routes.
    stack.callback(subprocess.run, ("ip", "link", "delete", outside), check=False)
    await _must("link", "add", outside, "type", "veth", "peer", "name", inside)
    await _must("link", "set", inside, "netns", f"lab-{tag}")
    await _must(*inner, "link", "set", "lo", "up")
    await _must(*inner, "link", "set", inside, "up")
    await _must("link", "set", outside, "up")
    for address in (PUBLIC, *PRIVATE.values()):
        await _must(*inner, "address", "add", f"{address}/32", "dev", inside)
        await _must("route", "add", f"{address}/32", "dev", outside)
    await _must(*inner, "route", "add", "default", "dev", inside)


async def _addresses() -> tuple[str, ...]:
    """Those of this host which a container could try."""
    listed = (await _ip("-4", "-o", "address")).stdout.decode().splitlines()
    found = [line.split()[3].partition("/")[0] for line in listed]
    return tuple(address for address in found if address != "127.0.0.1")


async def _must(*words: str) -> None:
    done = await _ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.decode()}"


async def _ip(*words: str) -> subprocess.CompletedProcess[bytes]:
    done: subprocess.CompletedProcess[bytes] = await trio.run_process(
        ("ip", *words), capture_stdout=True, capture_stderr=True, check=False
    )
    return done
