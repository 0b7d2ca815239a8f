"""This host's firewall, changed with its own tools."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.engine.networks.rules import nameservers
from iexec_worker.errors import EngineRefused

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from iexec_worker.engine.networks.rules import Rules

#: A service's PATH may lack these.
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"

#: Debian's default speaks to nftables, which some kernels lack.
_TOOLS: Final = ("iptables", "iptables-legacy")

#: The first spares the kernel the memory of connections that go nowhere; some lack it.
_TABLES: Final = ("raw", "mangle")

#: The second has what a stub resolver on loopback hides.
RESOLVERS: Final = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


@frozen
class Firewall:
    """
    The tables of this network namespace, reached through *tool* (a path of an `iptables`).

    *resolvers* are the files that name whom the engine asks for names.
    Cancelled, a call of the tool is killed: it changes all or nothing. Raises `EngineRefused` when
    the tool fails.
    """

    tool: str
    table: str
    resolvers: Sequence[Path] = RESOLVERS

    @classmethod
    async def find(cls, resolvers: Sequence[Path] = RESOLVERS) -> Firewall:
        """Find a tool and a table that work. Raises `EngineRefused` without any."""
        reason = "iptables is not installed"
        for name, table in product(_TOOLS, _TABLES):
            tool = shutil.which(name) or shutil.which(name, path=_SBIN)
            if tool is None:
                continue
            found = cls(tool, table, resolvers)
            try:
                await found.listing()
            except EngineRefused as error:
                reason = str(error)
            else:
                return found
        raise EngineRefused(reason)

    async def listing(self) -> str:
        """Return all rules of the table."""
        return await self._run("-S")

    async def hold(self, rules: Rules) -> bool:
        """See to it that *rules* are as they should be; True iff they had to be changed."""
        # Read each time: laptops change networks.
        asked = await trio.to_thread.run_sync(_nameservers, self.resolvers)
        wanted = rules.ipv4(self.table, asked)
        jumps, held = rules.held(await self.listing())
        if jumps and list(held) == [line for line in wanted.splitlines() if line.startswith("-A ")]:
            return False
        await self._restore(wanted)
        if not jumps:
            await self._run("-I", *rules.jump)
        await self._sixth(rules)
        return True

    async def drop(self, rules: Rules) -> None:
        """Remove *rules*; what is not there is fine."""
        for tool in (self, self._ipv6):
            for change in (("-D", *rules.jump), ("-F", rules.chain), ("-X", rules.chain)):
                with suppress(EngineRefused):
                    await tool._run(*change)  # noqa: SLF001 - its own class

    async def _sixth(self, rules: Rules) -> None:
        # The bridge has no IPv6; a host without its tables loses nothing.
        with suppress(EngineRefused):
            six = self._ipv6
            await six._restore(rules.ipv6(self.table))  # noqa: SLF001 - its own class
            jumps, _ = rules.held(await six.listing())
            if not jumps:
                await six._run("-I", *rules.jump)  # noqa: SLF001 - its own class

    @property
    def _ipv6(self) -> Firewall:
        path = Path(self.tool)
        return Firewall(str(path.with_name(path.name.replace("ip", "ip6", 1))), self.table)

    async def _restore(self, text: str) -> None:
        await self._call((f"{self.tool}-restore", "-w", "--noflush"), text.encode())

    async def _run(self, *words: str) -> str:
        return await self._call((self.tool, "-w", "-t", self.table, *words), b"")

    async def _call(self, command: tuple[str, ...], said: bytes) -> str:
        run = partial(
            trio.run_process,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            # The worker's own has secrets.
            env={"PATH": _SBIN},
        )
        try:
            done: subprocess.CompletedProcess[bytes] = await run(
                command, stdin=said, env={"PATH": _SBIN}
            )
        except OSError as error:
            raise EngineRefused(f"{command[0]}: {error}") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").split()
            raise EngineRefused(f"{Path(command[0]).name}: {' '.join(words)[:300]}")
        return done.stdout.decode(errors="replace")


def _nameservers(resolvers: Sequence[Path]) -> set[str]:
    found: set[str] = set()
    for path in resolvers:
        with suppress(OSError):
            found |= nameservers(path.read_text(errors="replace"))
    return found
