"""What a registry's manifest says of an image: its platforms and its size. Sans-IO."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DOCKER: Final = "application/vnd.docker.distribution.manifest"
_OCI: Final = "application/vnd.oci.image"

ACCEPT: Final = ", ".join(
    (
        f"{_DOCKER}.v2+json",
        f"{_DOCKER}.list.v2+json",
        f"{_OCI}.manifest.v1+json",
        f"{_OCI}.index.v1+json",
    )
)
"""The kinds of manifests that are understood, for the header of that name."""

#: What a processor runs beside its own kind.
_ALSO: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"amd64": frozenset({"386"}), "arm64": frozenset({"arm"})}
)

#: An image that nobody gave a platform; builders leave it out, or say so.
_UNSAID: Final = frozenset({"", "unknown"})


@frozen
class Platform:
    """An operating system and a processor, in Go's words."""

    os: str
    architecture: str

    def runs(self, other: Platform) -> bool:
        """True iff an image for *other* runs on this one, as far as it says what it is for."""
        return other.os in {self.os, *_UNSAID} and (
            other.architecture in {self.architecture, *_UNSAID}
            or other.architecture in _ALSO.get(self.architecture, ())
        )

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


def read_platform(value: object) -> Platform:
    """Read a platform of a manifest; what is not there is left open."""
    fields = value if isinstance(value, dict) else {}
    return Platform(str(fields.get("os") or ""), str(fields.get("architecture") or ""))


def chosen(index: Mapping[str, Any], here: Platform) -> str | None:
    """
    Return the digest of the manifest that an engine of the platform *here* takes from *index*.

    None when there is none, or when *index* is the manifest of a single image itself.
    """
    listed = index.get("manifests")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    fitting = [(read_platform(one.get("platform")), one) for one in entries]
    digests = [str(one.get("digest")) for platform, one in fitting if here.runs(platform)]
    # The engine prefers its own kind to one that it runs as well.
    exact = [str(one.get("digest")) for platform, one in fitting if platform == here]
    return next(iter((*exact, *digests)), None)


def size(manifest: Mapping[str, Any]) -> int | None:
    """
    Bytes of an image as its registry has it, packed; None when *manifest* does not say.

    What a manifest says may be a lie: negative sizes would make a large image small.
    """
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        return None
    return sum(_sizes((*layers, manifest.get("config"))))


def _sizes(parts: Iterable[object]) -> list[int]:
    said = [part.get("size") for part in parts if isinstance(part, dict)]
    return [one for one in said if isinstance(one, int) and one > 0]
