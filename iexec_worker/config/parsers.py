"""
From the text of a variable to its value.

What a parser accepts is said once, in `accepts`, and printed for every bad value.
"""

from __future__ import annotations

import ipaddress
import math
import re
import ssl
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import isodate  # type: ignore[import-untyped]  # ships no annotations, and nobody publishes any
from attrs import frozen

from iexec_worker.config.hosts import parse_bypass
from iexec_worker.config.masking import mask_credentials, mask_each, mask_path
from iexec_worker.secret import Secret


def _shown(text: str) -> str:
    return text


@frozen
class Parser:
    """How one kind of value is read, what to say when it cannot be, what of it may be shown."""

    accepts: str
    _read: Callable[[str], Any]
    mask: Callable[[str], str] = _shown

    def parse(self, text: str) -> Any:  # noqa: ANN401  # the table holds values of all types
        """Return the value of *text*; raises ValueError, which says what is accepted."""
        try:
            return self._read(text)
        except (ValueError, OverflowError, KeyError) as e:
            raise ValueError(self.accepts) from e


_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+|[0-9]+")
_DECIMAL = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"\[?[a-z0-9_.:%-]+\]?", re.IGNORECASE | re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9_.-]+", re.IGNORECASE | re.ASCII)
_REGISTRY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._-]+)*", re.ASCII)
_CAPABILITY = re.compile(r"[A-Z]+(_[A-Z]+)*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

# What fits 64 bits everywhere it is passed on to (deque lengths, JSON, engine fields).
_LARGEST: Final = 2**63 - 1


def _require(*, good: object) -> None:
    if not good:
        raise ValueError


def _whole(text: str, minimum: int, maximum: int) -> int:
    _require(good=_GROUPED.fullmatch(text))
    number = int(text.replace(",", ""))
    _require(good=minimum <= number <= maximum)
    return number


def whole(minimum: int = 1, maximum: int | None = None) -> Parser:
    """Whole numbers, thousands grouped by commas or not, within both bounds."""
    bounds = f"from {minimum}" + ("" if maximum is None else f" to {maximum}")
    limit = _LARGEST if maximum is None else maximum
    return Parser(f"a whole number {bounds}", lambda text: _whole(text, minimum, limit))


def _decimal(text: str) -> float:
    _require(good=_DECIMAL.fullmatch(text))
    number = float(text)
    _require(good=math.isfinite(number))
    return number


def _boolean(text: str) -> bool:
    word = text.lower()
    _require(good=word in _TRUE | _FALSE)
    return word in _TRUE


# Deployments of the Java worker may use any of these: they are what Spring takes for a boolean.
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


def _duration(text: str) -> float:
    # isodate takes `PT` and `P1DT` for durations.
    _require(good=not text.upper().endswith("T"))
    duration = isodate.parse_duration(text.upper())
    # Months and years have no fixed length: isodate gives them another type.
    _require(good=isinstance(duration, timedelta) and duration >= timedelta(0))
    return float(duration.total_seconds())


def _longer_than_none(text: str) -> float:
    seconds = _duration(text)
    _require(good=seconds > 0)
    return seconds


def choice(*words: str) -> Parser:
    """One of *words*, in any case; the value is the word as given here."""
    known = {word.lower(): word for word in words}
    return Parser("one of " + ", ".join(words), lambda text: known[text.lower()])


def _address(text: str) -> str:
    address = text.lower()
    _require(good=_ADDRESS.fullmatch(address) and int(address, 16))
    return address


def _name(text: str) -> str:
    _require(good=_NAME.fullmatch(text))
    return text


def _folder(text: str) -> Path:
    _require(good=text.startswith("/") and ":" not in text and "\0" not in text)
    return Path(text)


def _certificates(text: str) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except OSError as error:
        raise ValueError from error
    return Path(text)


def _host(text: str) -> str:
    _require(good=_HOST.fullmatch(text))
    bare = text.removeprefix("[").removesuffix("]")
    if ":" in bare:
        ipaddress.IPv6Address(bare)
        return f"[{bare}]"
    return bare


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))


def _url(text: str, schemes: Collection[str] = ("http", "https")) -> str:
    parts = urlsplit(text)
    _require(good=parts.scheme in schemes and parts.hostname)
    _require(good=_HOST.fullmatch(parts.hostname or ""))
    _require(good=parts.port != 0)
    _require(good=text.isprintable() and " " not in text)
    return text.rstrip("/")


def _service(text: str) -> str:
    parts = urlsplit(text)
    _require(good=not (parts.query or parts.fragment or "@" in parts.netloc))
    return _url(text)


def _proxy(text: str) -> str:
    # curl and most programs take a bare host:port for an http proxy.
    return _url(text if _SCHEME.match(text) else f"http://{text}")


def _engine(text: str) -> str:
    scheme, _, rest = text.partition("://")
    _require(good=scheme.lower() in {"unix", "tcp", "http"})
    _require(good=rest and text.isprintable())
    return text


def _listed(text: str, read: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(read(item) for item in map(str.strip, text.split(",")) if item)


def _bypass(text: str) -> str:
    bypass = parse_bypass(text)
    _require(good=bypass.network or bypass.name == "*" or _DOMAIN.fullmatch(bypass.name))
    return text.lower()


def _exactly(text: str) -> str:
    # What opens a way into the private network names it: no suffixes, no "everything".
    _require(good=not text.startswith((".", "*")))
    return _bypass(text)


def _registry(text: str) -> str:
    prefix = text.lower().rstrip("/")
    _require(good=_REGISTRY.fullmatch(prefix))
    return prefix


def _capability(text: str) -> str:
    name = text.upper().removeprefix("CAP_")
    _require(good=_CAPABILITY.fullmatch(name) and name != "ALL")
    return name


def _capabilities(text: str) -> tuple[str, ...]:
    return () if text.lower() == "none" else _listed(text, _capability)


def _program(text: str) -> Path:
    # Not looked for in PATH, and a worker has no folder of its own to start from.
    _require(good=text.startswith("/") and text.isprintable())
    return Path(text)


def _extra_hosts(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(_extra_host(item) for item in map(str.strip, text.split(",")) if item)


def _extra_host(text: str) -> tuple[str, str]:
    name, _, address = text.partition(":")
    _require(good=_DOMAIN.fullmatch(name))
    # The engine's own word for its host.
    return name, address if address == _GATEWAY else _ip(address)


def _text(text: str) -> str:
    # Bytes of the environment that are not UTF-8 arrive as surrogates, and fail where it is sent.
    text.encode()
    return text


def _scone_level(text: str) -> str:
    _require(good=re.fullmatch(r"[0-7]|[a-z]+", text, re.IGNORECASE | re.ASCII))
    return text


_GATEWAY: Final = "host-gateway"

TEXT: Final = Parser("a text in UTF-8", _text)
SECRET: Final = Parser("a text in UTF-8", lambda text: Secret(_text(text)), lambda _: "***")
DECIMAL: Final = Parser("a number like 1.3, not below 0", _decimal)
BOOLEAN: Final = Parser("true or false", _boolean)
DURATION: Final = Parser("an ISO-8601 duration like PT5M", _duration)
SPAN: Final = Parser("an ISO-8601 duration like PT5M, longer than none", _longer_than_none)
PORT: Final = whole(1, 65535)
ADDRESS: Final = Parser("the on-chain address of your workerpool, 0x and 40 hex digits", _address)
NAME: Final = Parser("letters, digits, '.', '_' and '-', beginning with one of the first", _name)
FOLDER: Final = Parser("an absolute path without ':' (the engine mounts it by this path)", _folder)
FILE: Final = Parser("the path of a file", Path)
CERTIFICATES: Final = Parser("the path of a file with certificates in PEM form", _certificates)
PROGRAM: Final = Parser("the absolute path of a program", _program)
HOST: Final = Parser("a host name or an address, without scheme and port", _host)
IP: Final = Parser("an IP address of this machine, or 0.0.0.0 for all", _ip)
SERVICE: Final = Parser(
    "a URL like https://core.pool.example:443, without user and query", _service, mask_credentials
)
NODES: Final = Parser(
    "one or more URLs like https://node.example, comma-separated",
    lambda text: _listed(text, _url),
    partial(mask_each, mask_path),
)
GATEWAYS: Final = Parser(
    "one or more URLs like https://gateway.example, comma-separated",
    lambda text: _listed(text, _service),
    partial(mask_each, mask_credentials),
)
PROXY: Final = Parser("a URL like http://proxy.example:3128", _proxy, mask_credentials)
ENGINE: Final = Parser(
    "a URL like unix:///var/run/docker.sock or tcp://host:2375", _engine, mask_credentials
)
HOSTS: Final = Parser(
    "host names, .suffixes, addresses (each may have :port) and networks like 10.0.0.0/8, "
    "comma-separated",
    lambda text: _listed(text, _bypass),
)
EXACT_HOSTS: Final = Parser(
    "host names, addresses (each may have :port) and networks like 10.0.0.0/8, comma-separated",
    lambda text: _listed(text, _exactly),
)
ADDRESSES: Final = Parser(
    "on-chain addresses (0x and 40 hex digits), comma-separated",
    lambda text: _listed(text, _address),
)
REGISTRIES: Final = Parser(
    "registries like docker.io, registry.example:5000 or docker.io/name, comma-separated",
    lambda text: _listed(text, _registry),
)
CAPABILITIES: Final = Parser(
    "names of Linux capabilities like CHOWN or SYS_PTRACE, comma-separated, or none", _capabilities
)
SCONE_LEVEL: Final = Parser("a number from 0 to 7 or a word like debug", _scone_level)
EXTRA_HOSTS: Final = Parser(
    "names with their addresses like cas.example:192.0.2.7, comma-separated", _extra_hosts
)
