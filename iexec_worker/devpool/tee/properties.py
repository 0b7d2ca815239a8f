"""What an SMS says of its framework: the images of pre- and post-compute, and their measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class StageProperties:
    """The enclave of one stage; *heap* in bytes."""

    image: str
    fingerprint: str = 64 * "a"
    entrypoint: str = "/enclave"
    heap: int = 1024**3

    def as_json(self) -> dict[str, Any]:
        """As the SMS words it."""
        return {
            "image": self.image,
            "fingerprint": self.fingerprint,
            "entrypoint": self.entrypoint,
            "heapSizeInBytes": self.heap,
        }


@frozen
class Properties:
    """One version of a framework. Nobody has these images: whoever wants to run tasks sets some."""

    pre: StageProperties = field(factory=lambda: StageProperties("127.0.0.1:9/tee-pre-compute:1.0"))
    post: StageProperties = field(
        factory=lambda: StageProperties("127.0.0.1:9/tee-post-compute:1.0")
    )
    las_image: str = "127.0.0.1:9/las:1.0"

    def as_json(self, framework: TeeFramework, version: str) -> dict[str, Any]:
        """As the SMS words it; before 9.0 without a *version*."""
        versioned = {"teeFrameworkVersion": version} if version else {}
        las = {"lasImage": self.las_image} if framework is TeeFramework.SCONE else {}
        return {
            "teeFramework": framework.name,
            **versioned,
            "preComputeProperties": self.pre.as_json(),
            "postComputeProperties": self.post.as_json(),
            **las,
        }


#: The version of each framework that apps name unless they know better.
VERSIONS: Final[Mapping[TeeFramework, str]] = {
    TeeFramework.SCONE: "v5",
    TeeFramework.GRAMINE: "v0",
    TeeFramework.TDX: "v0",
}
