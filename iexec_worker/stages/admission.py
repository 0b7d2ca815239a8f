"""Whose tasks the operator lets this machine compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Collection

    from iexec_worker.model import TaskDescription


@frozen
class Admission:
    """What is allowed: an empty collection allows all. Addresses and places are in lower case."""

    registries: Collection[str] = ()
    apps: Collection[str] = ()
    requesters: Collection[str] = ()

    def refusal(self, task: TaskDescription) -> str:
        """Say why *task* is not computed here; empty when it is."""
        for kind, address, allowed, variable in (
            ("app", task.app_address, self.apps, "IEXEC_WORKER_ALLOWED_APPS"),
            ("requester", task.requester, self.requesters, "IEXEC_WORKER_ALLOWED_REQUESTERS"),
        ):
            if allowed and address.lower() not in allowed:
                return f"{kind} {address} is not in {variable}"
        if self.registries and not self._allows(task.app_uri):
            return f"image {task.app_uri!r} is from none of IEXEC_WORKER_ALLOWED_REGISTRIES"
        return ""

    def _allows(self, image: str) -> bool:
        try:
            reference = parse_reference(image)
        except Rejected:
            return False
        return any(reference.is_in(place) for place in self.registries)
