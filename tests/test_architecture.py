"""The shape of the program, checked on its source: who imports, builds and reads what."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

import iexec_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE: Final = "iexec_worker"
ROOT: Final = Path(iexec_worker.__file__).parent

# Imports go down only. Parts of one layer may know each other, except where `SEPARATE` says no.
LAYERS: Final = (
    {"", "errors", "model", "wire", "jackson", "fields", "files", "secret", "versions"},
    {"config", "transport", "foreign", "telemetry", "supervise"},
    {"engine", "chain", "scheduler", "inputs", "results"},
    {"tee"},
    {"stages"},
    {"replicates", "janitor"},
    {"membership"},
    {"server"},
    {"app"},
    {"devpool"},
    {"cli", "__main__"},
)
SEPARATE: Final = LAYERS[2]

# Clients of the outside: where they are built is where the program is put together.
BUILT_AT_THE_TOP: Final = {"Engine", "NodeProvider", "SchedulerApi", "ResultProxy", "make_client"}
TOP: Final = {"app", "devpool", "cli"}

STARTERS: Final = {
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")),
    *("trio.run_process", "trio.lowlevel.open_process", "os.system", "os.popen"),
}

PROCESS: Final = {"os.environ", "os.environb", "os.getenv", "sys.argv"}


@frozen
class Module:
    """One file of the package."""

    name: str
    tree: ast.Module

    @property
    def part(self) -> str:
        """The first name below the package: its layer is known by it."""
        return part_of(self.name)

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of its syntax, flat."""
        return flat(self.tree)

    @property
    def imports(self) -> frozenset[str]:
        """All modules of this package it imports, for types and in functions too."""
        return imported(self)

    def waits(self) -> bool:
        """True iff it does input or output by Trio's rules; the others are sans-IO."""
        return any(isinstance(node, ast.AsyncFunctionDef) for node in self.nodes)


@cache
def flat(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Each rule goes through all of it again."""
    return tuple(ast.walk(tree))


def ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def part_of(name: str) -> str:
    return name.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES: Final = {name_of(path): path for path in ROOT.rglob("*.py")}


@cache
def modules() -> dict[str, Module]:
    """All of the package by name, read when a test asks first: not by who only lists the tests."""
    return {name: Module(name, ast.parse(path.read_text())) for name, path in NAMES.items()}


def layer(part: str) -> int:
    # A part that nobody placed is above all, so that whoever imports it is told.
    return next((level for level, parts in enumerate(LAYERS) if part in parts), len(LAYERS))


@cache
def imported(module: Module) -> frozenset[str]:
    return frozenset(_imported(module))


def _imported(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and ours(node.module):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else node.module


@cache
def named(module: Module) -> set[str]:
    """Every name it uses, dotted where it is written so, and every name it imports from others."""
    names: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Attribute | ast.Name):
            names.add(ast.unparse(node))
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def goes_up(module: Module) -> set[str]:
    def allowed(part: str) -> bool:
        beside = layer(part) == layer(module.part) and module.part not in SEPARATE
        return part == module.part or beside or layer(part) < layer(module.part)

    return {name for name in module.imports if not allowed(part_of(name))}


def borrows_the_pool(module: Module) -> set[str]:
    if module.part in {"devpool", "cli"}:
        return set()
    return {name for name in module.imports if part_of(name) == "devpool"}


def shares_io_with_the_pool(module: Module) -> set[str]:
    if module.part != "devpool":
        return set()
    shared = {name for name in module.imports if part_of(name) != "devpool"}
    return {name for name in shared if any(modules()[part].waits() for part in handed_on(name))}


def handed_on(name: str) -> set[str]:
    """Module *name* and, if it is a package, those of its own that it hands on."""
    return {name, *(part for part in modules()[name].imports if part.startswith(f"{name}."))}


def reads_the_process(module: Module) -> set[str]:
    return set() if module.part == "cli" else named(module) & PROCESS


def builds_clients(module: Module) -> set[str]:
    if module.part in TOP:
        return set()
    calls = (node for node in module.nodes if isinstance(node, ast.Call))
    return {ast.unparse(call.func).rpartition(".")[2] for call in calls} & BUILT_AT_THE_TOP


def uses_another_loop(module: Module) -> set[str]:
    return {name for name in named(module) if name.partition(".")[0] in {"asyncio", "anyio"}}


def hands_on_its_environment(module: Module) -> set[str]:
    """Our environment has passwords: what is started is given one of its own."""
    if module.part in {"devpool", "cli"}:
        return set()
    calls = [node for node in module.nodes if isinstance(node, ast.Call)]
    return {ast.unparse(call) for call in calls if starts(call) and not names_env(call)}


def starts(call: ast.Call) -> bool:
    """True iff *call* starts a program, or is a `partial` that will."""
    return any(ast.unparse(name) in STARTERS for name in (call.func, *call.args[:1]))


def names_env(call: ast.Call) -> bool:
    return any(keyword.arg == "env" for keyword in call.keywords)


def imports_relatively(module: Module) -> set[str]:
    nodes = (node for node in module.nodes if isinstance(node, ast.ImportFrom))
    return {ast.unparse(node) for node in nodes if node.level}


#: Each rule tells what a module does against it, and is shown a module that breaks it.
RULES: Final[list[tuple[Callable[[Module], set[str]], str, str]]] = [
    (goes_up, "wire", "from iexec_worker import supervise"),
    (goes_up, "chain.hub", "from iexec_worker.inputs.guard import resolve"),
    (borrows_the_pool, "app", "import iexec_worker.devpool"),
    (shares_io_with_the_pool, "devpool.pool", "import iexec_worker.supervise"),
    (reads_the_process, "transport", "import os; os.environ['HTTP_PROXY']"),
    (reads_the_process, "transport", "from os import getenv"),
    (builds_clients, "stages.start", "client = transport.make_client(proxies, timeout=5)"),
    (hands_on_its_environment, "files", "import subprocess; subprocess.run(['rm'])"),
    (hands_on_its_environment, "engine.x", "start = partial(trio.run_process, check=False)"),
    (uses_another_loop, "app", "def f():\n    import asyncio"),
    (imports_relatively, "chain.hub", "from .gas import gas_price"),
]


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rule, _, _ in RULES), ids=lambda rule: rule.__name__
)
def test_no_module(rule: Callable[[Module], set[str]]) -> None:
    assert {name: bad for name, module in modules().items() if (bad := rule(module))} == {}


@pytest.mark.parametrize(("rule", "name", "source"), RULES)
def test_a_breach_is_seen(rule: Callable[[Module], set[str]], name: str, source: str) -> None:
    assert rule(Module(f"{PACKAGE}.{name}", ast.parse(source)))


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {module.name: set(module.imports) - {module.name} for module in modules().values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


#: The first name in a line of a map.
_MAPPED: Final = re.compile(r"^    (\w+)\b.*\S {2,}\S", re.MULTILINE)


def test_a_package_that_has_a_map_is_mapped_whole() -> None:
    for name, module in modules().items():
        told = ast.get_docstring(module.tree) or ""
        inside = (one.removeprefix(f"{name}.") for one in modules() if one.startswith(f"{name}."))
        parts = {one.partition(".")[0] for one in inside} - {"__main__"}
        if parts & set(_MAPPED.findall(told)):
            assert parts <= set(re.findall(r"\w+", told)), name


def test_every_part_has_a_layer() -> None:
    assert {module.part for module in modules().values()} <= set().union(*LAYERS)
