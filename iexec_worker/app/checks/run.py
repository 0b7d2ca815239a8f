"""All looks, side by side, each as soon as what it needs is known."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field, frozen

from iexec_worker.app.checks import chain, clock, machine, pool
from iexec_worker.app.checks.facts import Facts
from iexec_worker.app.checks.finding import Finding, Level, Wrong
from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import sgx_of
from iexec_worker.config.variables import TDX_AGENT
from iexec_worker.errors import WorkerError
from iexec_worker.supervise import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from iexec_worker.config import Config

#: Seconds for one look. What answers later than this is no use to a worker either.
LIMIT: Final = 10.0


@frozen
class Check:
    """One look. It is skipped unless all of *needs* are well; *after* only have to be over."""

    name: str
    look: Callable[[Facts], Awaitable[str]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def checks(config: Config) -> tuple[Check, ...]:
    """Return all checks in the order in which people want to read them."""
    named = () if config.chain.node_urls else ("config server",)
    return (
        Check("engine", machine.engine),
        Check("wallet", machine.wallet),
        Check("scheduler", pool.scheduler),
        Check("login", pool.login, ("wallet", "scheduler")),
        Check("config server", pool.config_server, ("scheduler",)),
        Check("result proxy", pool.result_proxy, ("scheduler",)),
        Check("node", chain.node, named),
        Check("chain id", chain.chain_id, ("config server", "node")),
        Check("gas", chain.gas, ("wallet", "config server", "node")),
        Check("stake", chain.stake, ("wallet", "config server", "node", "chain id")),
        Check("disk", machine.disk),
        Check("clock", clock.clock, after=("scheduler", "config server", "node")),
        *_trusted(config),
    )


def _trusted(config: Config) -> Iterator[Check]:
    """What a machine needs for trusted tasks, where the operator means it to take them."""
    if sgx_of(config).enabled:
        yield Check("SGX", machine.sgx)
    if str(config.tee.tdx_agent) != TDX_AGENT or config.tee.tdx_agent.exists():
        yield Check("TDX agent", machine.tdx)


async def check(config: Config, tell: Callable[[Finding], None], *, limit: float = LIMIT) -> bool:
    """
    Look at everything and *tell* each finding, in order; True iff nothing failed.

    No look takes more than *limit* seconds; at most five wait for each other.
    """
    wanted = checks(config)
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients(config))
        round_ = _Round(Facts(config, clients, stack), limit, {c.name: _Later() for c in wanted})
        async with trio.open_nursery() as nursery:
            for one in wanted:
                nursery.start_soon(round_.look, one)
            findings = []
            for one in wanted:
                findings.append(await round_.found[one.name].get())
                tell(findings[-1])
    return all(finding.level is not Level.FAIL for finding in findings)


@define(eq=False)
class _Later:
    """A finding that others wait for."""

    finding: Finding | None = None
    _done: trio.Event = field(factory=trio.Event)

    def set(self, finding: Finding) -> None:
        self.finding = finding
        self._done.set()

    async def get(self) -> Finding:
        await self._done.wait()
        assert self.finding is not None
        return self.finding


@frozen
class _Round:
    facts: Facts
    limit: float
    found: dict[str, _Later]

    async def look(self, one: Check) -> None:
        before = {name: await self.found[name].get() for name in (*one.needs, *one.after)}
        bad = [name for name in one.needs if before[name].level in (Level.FAIL, Level.SKIPPED)]
        if bad:
            finding = Finding(one.name, Level.SKIPPED, f"needs {bad[0]}")
        else:
            finding = await self._finding(one)
        self.found[one.name].set(finding)

    async def _finding(self, one: Check) -> Finding:
        try:
            with trio.fail_after(self.limit):
                return Finding(one.name, Level.OK, await one.look(self.facts))
        except trio.TooSlowError:
            fact = f"no answer within {self.limit:g} s"
            return Finding(one.name, Level.FAIL, fact, "is it overloaded, or dropped on the way?")
        except Wrong as error:
            return Finding(one.name, error.level, describe(error), error.fix)
        except WorkerError as error:
            # Errors of ours say what to do themselves.
            return Finding(one.name, Level.FAIL, describe(error))
