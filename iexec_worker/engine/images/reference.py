"""What an image's name says: registry, repository, tag or digest. Sans-IO."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from iexec_worker.errors import Rejected

DEFAULT_REGISTRY: Final = "docker.io"

_DIGEST: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_HOST: Final = re.compile(r"(?:[a-zA-Z0-9][a-zA-Z0-9.-]*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")


@frozen
class Reference:
    """
    An image's name in its parts; *name* is all before tag and digest, as it was written.

    *registry* is a host, with its port if it was given. With a *digest* the tag does not count.
    """

    name: str
    registry: str
    tag: str
    digest: str

    @property
    def version(self) -> str:
        """What the engine is asked for: the digest, else the tag."""
        return self.digest or self.tag

    @property
    def path(self) -> str:
        """The repository below its registry, as the registry knows it."""
        _, repository = _registry(self.name)
        official = self.registry == DEFAULT_REGISTRY and "/" not in repository
        return f"library/{repository}" if official else repository

    def is_in(self, place: str) -> bool:
        """True iff *place*, a registry or a `registry/path` in lower case, holds it."""
        return f"{self.registry.lower()}/{self.path}/".startswith(f"{place}/")

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse_reference(image: str) -> Reference:
    """Read *image*. Raises `Rejected` for one without tag and digest, or that is no name at all."""
    tagged, at, digest = image.partition("@")
    # A colon before the last slash belongs to the registry's port.
    name, colon, tag = (
        tagged.rpartition(":") if ":" in tagged.rpartition("/")[2] else (tagged, "", "")
    )
    registry, repository = _registry(name)
    valid = (
        _HOST.fullmatch(registry)
        and _REPOSITORY.fullmatch(repository)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not valid:
        raise Rejected(f"image {image!r}: not a valid name; expected registry/repository:tag")
    if not (tag or digest):
        raise Rejected(f"image {image!r}: no tag and no digest; the app must name one of them")
    return Reference(name, registry, tag, digest)


def _registry(name: str) -> tuple[str, str]:
    """A first part with a dot or a colon is a host; without one the default registry is meant."""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return DEFAULT_REGISTRY, name
    # The default registry's older name, which the engine takes for the same.
    return (DEFAULT_REGISTRY if first == "index.docker.io" else first), rest
