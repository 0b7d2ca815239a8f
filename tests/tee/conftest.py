"""An SMS that answers as it is told, on a real port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from attrs import define, field, frozen
from quart import Response, request
from quart_trio import QuartTrio

from iexec_worker.config import Outbound
from iexec_worker.tee.sms import Sms
from iexec_worker.transport import make_client
from tests.served import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROPERTIES = {
    "teeFramework": "SCONE",
    "teeFrameworkVersion": "v5",
    "preComputeProperties": {
        "image": "pre:1",
        "fingerprint": "f-pre",
        "entrypoint": "python3 /app/app.py",
        "heapSizeInBytes": 3221225472,
    },
    "postComputeProperties": {
        "image": "post:1",
        "fingerprint": "f-post",
        "entrypoint": "python3 '/app/post app.py'",
        "heapSizeInBytes": 1024,
    },
    "lasImage": "registry.example:5050/las:5",
}

SESSION = {"data": {"sessionId": "abc0000", "secretProvisioningUrl": "cas.example:4321"}}


@frozen
class Seen:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def asked(self) -> str:
        return f"{self.method} {self.path}"


@define
class Server:
    """
    Answers a request with the first of *answers* to its method and path; the last one stays.

    404 for all others.
    """

    url: str = ""
    answers: dict[str, list[tuple[int, str]]] = field(factory=dict)
    seen: list[Seen] = field(factory=list)

    def answer(self, asked: str, *answers: object) -> None:
        """Have *asked* answered with statuses, JSON documents, or both as a pair."""
        self.answers[asked] = [_answer(one) for one in answers]

    @property
    def asked(self) -> list[str]:
        return [one.asked for one in self.seen]

    def app(self) -> QuartTrio:
        app = QuartTrio(__name__)

        @app.route("/<path:path>", methods=["GET", "POST", "PUT", "HEAD"])
        async def everything(path: str) -> Response:
            body = await request.get_data()
            assert isinstance(body, bytes)
            query = request.query_string.decode()
            self.seen.append(Seen(request.method, f"/{path}", query, dict(request.headers), body))
            left = self.answers.get(self.seen[-1].asked, [(404, "")])
            status, text = left.pop(0) if len(left) > 1 else left[0]
            return Response(text, status)

        return app


def _answer(one: object) -> tuple[int, str]:
    match one:
        case int(status):
            return status, ""
        case (int(status), str(text)):
            return status, text
        case (int(status), document):
            return status, json.dumps(document)
    return 200, json.dumps(one)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    server.answer("GET /tee/framework", "SCONE")
    server.answer("GET /tee/properties/SCONE/v5", PROPERTIES)
    async with served(server.app()) as server.url:
        yield server


@pytest.fixture
async def sms(server: Server) -> AsyncIterator[Sms]:
    async with make_client(Outbound(), timeout=5) as client:
        yield Sms(client, server.url + "/")
