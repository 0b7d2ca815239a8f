"""What a container tells the worker over the network they share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from iexec_worker.devpool.tee.enclave.requests import NoAnswer, ask
from iexec_worker.devpool.tee.enclave.signing import OTHER_KEY, hashed, sign
from iexec_worker.devpool.tee.enclave.telling import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Where workers are; the real images take another place from this variable, too.
_HOST: Final = "worker:13100"
HOST_VARIABLE: Final = "WORKER_HOST_ENV_VAR"


class NotTaken(Exception):
    """Raised when the worker did not take what it was told, or was not there."""


class Signing(NamedTuple):
    """What signatures are made with and about; *key* is empty in pre-compute of the 8.x stack."""

    task: str
    worker: str
    key: str


class Worker(NamedTuple):
    """
    The worker as containers of one *form* call it: "8.x", "9.1" or "9.2".

    *other*: requests are signed by a key that is not the enclave's.
    """

    host: str
    signing: Signing
    form: str
    other: bool = False

    @classmethod
    def of(cls, given: Mapping[str, str], signing: Signing, orders: Mapping[str, str]) -> Worker:
        """Find out which form this session's stack has, unless it is ordered."""
        modern = "SIGN_TEE_CHALLENGE_PRIVATE_KEY" in given
        form = orders.get("form") or ("9.2" if modern else "8.x")
        host = given.get(HOST_VARIABLE) or _HOST
        return cls(host, signing, form, orders.get("authorize") == "other")

    def failed(self, part: str, causes: Sequence[str]) -> None:
        """Tell why *part* ("pre" or "post") fails; 8.x knows one cause only."""
        place = f"/compute/{part}/{self.signing.task}"
        if self.form == "8.x":
            self._post(f"{place}/exit", {"cause": causes[0]})
        elif self.form == "9.1":
            self._post(f"{place}/exit-causes", list(causes))
        else:
            told = [{"cause": cause, "message": f"{part}-compute says so"} for cause in causes]
            self._post(f"{place}/exit-causes", told)

    def computed(self, file: Mapping[str, str]) -> None:
        """Hand over the computed file."""
        task = self.signing.task
        old = self.form == "8.x"
        self._post(f"/iexec_out/{task}/computed" if old else f"/compute/post/{task}/computed", file)

    def _post(self, path: str, body: Any) -> None:  # noqa: ANN401 - any JSON value
        headers = {"Content-Type": "application/json"}
        if self.form != "8.x":
            headers["Authorization"] = self._authorization()
        try:
            ask("POST", f"http://{self.host}{path}", json.dumps(body).encode(), headers)
        except NoAnswer as error:
            say(f"not taken: {error}")
            raise NotTaken(str(error)) from error
        say(f"taken: POST {path}")

    def _authorization(self) -> str:
        key = OTHER_KEY if self.other else self.signing.key
        return sign(key, hashed(self.signing.task, self.signing.worker))
