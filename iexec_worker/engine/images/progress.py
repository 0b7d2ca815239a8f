"""What an engine says while it pulls: bytes that arrived, and whether anything moves. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from iexec_worker.telemetry.sizes import size

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOADING: Final = "Downloading"

_LOADED: Final = frozenset(
    {"Verifying Checksum", "Download complete", "Extracting", "Pull complete"}
)


@frozen
class PullProgress:
    """Bytes of an image that have arrived, of those known so far to be needed."""

    current: int
    total: int

    def __str__(self) -> str:
        # The engine tells the sizes one by one, and none of an image whose layers are all here.
        if not self.total:
            return "0 bytes"
        return f"{100 * self.current // self.total} % of {size(self.total)}"


@define
class _Layer:
    current: int = 0
    total: int = 0
    steps: dict[str, int] = field(factory=dict)

    def moved(self, step: str, at: int) -> bool:
        """True iff *step* is new, or another number of bytes than zero was reached in it."""
        before = self.steps.get(step)
        self.steps[step] = at
        return before is None or at not in (0, before)


@define
class Layers:
    """The layers of one image, read from the engine's messages."""

    _layers: dict[str, _Layer] = field(factory=dict)

    def hear(self, message: Mapping[str, Any]) -> bool:
        """
        Take in one *message*; True iff it shows that something moved.

        An engine that only tries again ("Retrying in 5 seconds") does not move.
        """
        status = str(message.get("status", ""))
        detail = message.get("progressDetail") or {}
        if status.startswith(("Retrying", "Waiting")):
            return False
        layer = self._layers.setdefault(str(message.get("id", "")), _Layer())
        at = int(detail.get("current") or 0)
        if status == _LOADING:
            layer.current, layer.total = at, max(layer.total, int(detail.get("total") or 0))
        elif status in _LOADED:
            layer.current = layer.total
        return layer.moved(status, at)

    @property
    def progress(self) -> PullProgress:
        """The sum over all layers."""
        layers = self._layers.values()
        return PullProgress(sum(la.current for la in layers), sum(la.total for la in layers))
