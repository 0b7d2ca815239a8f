"""From the environment to a `Config`: everything is read first, then every problem is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

import iexec_worker.config.sections as s
from iexec_worker.config.source import Reading, Setting, read
from iexec_worker.config.unknown import warnings as misspelt
from iexec_worker.config.variables import ALL, REGISTRY_PREFIX, registry
from iexec_worker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_REGISTRY_INDEX = re.compile(
    rf"{REGISTRY_PREFIX}_(?:ADDRESS|USERNAME|PASSWORD)_(0|[1-9][0-9]{{0,5}})(?:_FILE)?"
)

_MB = 1024**2
_GB = 1024**3


@frozen
class Loaded:
    """A configuration, how each of its values came about, and what is worth a warning."""

    config: s.Config
    settings: tuple[Setting, ...]
    warnings: tuple[str, ...]


def load(environ: Mapping[str, str], *, cpu_count: int) -> Loaded:
    """
    Build the configuration from *environ*; *cpu_count* processors are available to the process.

    Reads nothing but *environ* and the files that `*_FILE` variables name. Raises ConfigError
    with every problem at once; no problem shows a secret.
    """
    registries = {index: registry(index) for index in _registry_indices(environ)}
    variables = (*ALL, *(variable for group in registries.values() for variable in group))
    readings = tuple(read(variable, environ) for variable in variables)
    groups = _by_section(readings)
    logins = {index: groups[f"registry_{index}"] for index in registries}
    problems = [reading.problem for reading in readings if reading.problem]
    problems += _login_problems(logins, readings)
    if problems:
        raise ConfigError(problems)
    return Loaded(
        _config(groups, logins, _wallet(readings), cpu_count),
        _settings(readings, groups, cpu_count),
        (*_login_warnings(logins), *misspelt(environ, _names(variables))),
    )


def load_wallet(environ: Mapping[str, str]) -> s.WalletFile:
    """Build the section of the wallet alone: it is made before a pool is known."""
    readings = [read(v, environ) for v in ALL if v.field.startswith("wallet.")]
    if problems := [reading.problem for reading in readings if reading.problem]:
        raise ConfigError(problems)
    return _wallet(readings)


def _wallet(readings: Iterable[Reading]) -> s.WalletFile:
    wallet = {r.variable.field: r for r in readings if r.variable.field.startswith("wallet.")}
    path, password = wallet["wallet.path"], wallet["wallet.password"]
    return s.WalletFile(path.value, password.value, password_given=password.given)


def _registry_indices(environ: Mapping[str, str]) -> list[int]:
    found = (_REGISTRY_INDEX.fullmatch(name) for name in environ)
    # 0 and 1 are in the documentation, so `config` shows them even when unset.
    return sorted({0, 1, *(int(match[1]) for match in found if match)})


def _by_section(readings: Iterable[Reading]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for reading in readings:
        section, attribute = reading.variable.field.split(".")
        groups.setdefault(section, {})[attribute] = reading.value
    return groups


def _names(variables: Iterable[Any]) -> frozenset[str]:
    names = {name for variable in variables for name in (variable.name, *variable.aliases)}
    return frozenset(names | {f"{v.name}_FILE" for v in variables if v.secret})


def _config(
    groups: Mapping[str, Mapping[str, Any]],
    logins: Mapping[int, Mapping[str, Any]],
    wallet: s.WalletFile,
    cpu_count: int,
) -> s.Config:
    worker, docker, inputs = groups["worker"], groups["docker"], groups["inputs"]
    sandbox = groups["sandbox"]
    return s.Config(
        worker=s.Worker(
            **{
                **worker,
                "cpu_count": worker["cpu_count"] or _spare(cpu_count),
                "min_free_disk": worker["min_free_disk"] * _GB,
            }
        ),
        scheduler=_scheduler(**groups["scheduler"]),
        chain=s.Chain(**{**groups["chain"], "node_urls": groups["chain"]["node_urls"] or ()}),
        wallet=wallet,
        docker=s.Docker(
            **{**docker, "pull_min": min(docker["pull_min"], docker["pull_max"])},
            registries=tuple(_registries(logins)),
        ),
        images=_images(**groups["images"]),
        sandbox=s.Sandbox(
            **{
                **sandbox,
                "log_bytes": sandbox["log_bytes"] * _MB,
                "disk_bytes": sandbox["disk_bytes"] * _GB,
            }
        ),
        inputs=s.Inputs(
            ipfs_gateways=inputs["ipfs_gateways"],
            allow_private=inputs["allow_private"] or (),
            max_bytes=inputs["max_bytes"] * _GB,
        ),
        results=s.Results(
            **{**groups["results"], "max_bytes": groups["results"]["max_bytes"] * _GB}
        ),
        tee=s.Tee(**{**groups["tee"], "extra_hosts": groups["tee"]["extra_hosts"] or ()}),
        outbound=s.Outbound(
            **{**groups["outbound"], "no_proxy": groups["outbound"]["no_proxy"] or ()}
        ),
        telemetry=s.Telemetry(**groups["telemetry"]),
        supervision=s.Supervision(**groups["supervision"]),
    )


def _spare(cpu_count: int) -> int:
    return max(cpu_count - 1, 1)


def _scheduler(
    *, protocol: str, host: str, port: int, url: str | None, pool_address: str, lost_after: int
) -> s.Scheduler:
    return s.Scheduler(url or f"{protocol}://{host}:{port}", pool_address, lost_after)


def _images(
    *, max_bytes: int, cache_high: int, cache_low: int, **allowed: tuple[str, ...] | None
) -> s.ImageRules:
    return s.ImageRules(
        max_bytes=max_bytes * _GB,
        cache_high=cache_high * _GB,
        cache_low=min(cache_low, cache_high) * _GB,
        **{name: listed or () for name, listed in allowed.items()},
    )


def _registries(logins: Mapping[int, Mapping[str, Any]]) -> Iterator[s.RegistryCredentials]:
    for index, login in logins.items():
        address = "docker.io" if index == 0 else login["address"]
        if address and login["username"] and login["password"]:
            yield s.RegistryCredentials(address, login["username"], login["password"])


def _login_problems(
    logins: Mapping[int, Mapping[str, Any]], readings: Iterable[Reading]
) -> Iterator[str]:
    told = {reading.variable.name for reading in readings if reading.problem}
    for index, login in logins.items():
        address = "docker.io" if index == 0 else login["address"]
        missing = f"{REGISTRY_PREFIX}_PASSWORD_{index}"
        if address and login["username"] and not login["password"] and missing not in told:
            yield (
                f"{missing} is not set: expected the password of user {login['username']} "
                f"at {address} (or unset {REGISTRY_PREFIX}_USERNAME_{index})"
            )


def _login_warnings(logins: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    for index, login in logins.items():
        if index and not login["address"] and (login["username"] or login["password"]):
            yield (
                f"the log-in of registry {index} has no effect: "
                f"{REGISTRY_PREFIX}_ADDRESS_{index} is not set"
            )
        elif login["password"] and not login["username"]:
            yield (
                f"{REGISTRY_PREFIX}_PASSWORD_{index} has no effect: "
                f"{REGISTRY_PREFIX}_USERNAME_{index} is not set"
            )


def _settings(
    readings: Iterable[Reading], groups: Mapping[str, Mapping[str, Any]], cpu_count: int
) -> tuple[Setting, ...]:
    notes = dict(_notes(groups))
    settings = {r.variable.field: r.setting(notes.get(r.variable.field, "")) for r in readings}
    if groups["worker"]["cpu_count"] is None:
        settings["worker.cpu_count"] = evolve(
            settings["worker.cpu_count"],
            value_text=str(_spare(cpu_count)),
            source=f"default: {cpu_count} processors, one kept back",
        )
    return tuple(settings.values())


def _notes(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    if groups["scheduler"]["url"]:
        for attribute in ("protocol", "host", "port"):
            yield f"scheduler.{attribute}", "not used: IEXEC_CORE_URL is set"
    if groups["worker"]["gpu_enabled"]:
        yield "worker.cpu_count", "told to the pool; a worker with GPU computes one task at a time"
    if groups["docker"]["pull_min"] > groups["docker"]["pull_max"]:
        yield "docker.pull_min", "above the maximum: the maximum is used"
    if groups["images"]["cache_low"] > groups["images"]["cache_high"]:
        yield "images.cache_low", "above the high mark: the high mark is used"
