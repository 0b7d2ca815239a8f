"""
Health as orchestrators ask for it, in the words of Spring's actuator.

`/actuator/health` follows liveness: whoever watches it restarts the process when it is down,
which helps only when the process itself is sick. Readiness is for people and balancers.
With `?details=true` each answer lists its components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, Response, request

from iexec_worker.server.replies import ACTUATOR, reply
from iexec_worker.telemetry.tree import Node, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.server.view import View


def routes(view: View) -> Blueprint:
    """Return the routes below `/actuator/health`."""
    blueprint = Blueprint("health", __name__, url_prefix="/actuator/health")

    @blueprint.get("")
    @blueprint.get("/liveness")
    async def liveness() -> Response:
        return _answer(view.alive(), "DOWN", view.redact(_parts(view.root)))

    @blueprint.get("/readiness")
    async def readiness() -> Response:
        problems = view.readiness()
        ready = not any(problems.values())
        return _answer(ready, "OUT_OF_SERVICE", view.redact(_needs(problems)))

    return blueprint


def _answer(good: bool, otherwise: str, components: dict[str, Any]) -> Response:
    body: dict[str, Any] = {"status": "UP" if good else otherwise}
    if request.args.get("details", "").lower() == "true":
        body["components"] = components
    return reply(body, 200 if good else 503, ACTUATOR)


def _parts(root: Node) -> dict[str, Any]:
    """The parts of the tree; one that is being restarted does not make the process sick."""
    return {
        node.name: {
            "status": "UP" if node.state is State.RUNNING else "UNKNOWN",
            "details": {"state": node.state.value, "doing": node.doing},
        }
        for node in list(root.children.values())
    }


def _needs(problems: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        name: {"status": "OUT_OF_SERVICE", "details": {"reason": problem}}
        if problem
        else {"status": "UP"}
        for name, problem in problems.items()
    }
