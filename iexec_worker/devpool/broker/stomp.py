"""The simple broker: topics, subscriptions and who gets what."""

from __future__ import annotations

from typing import Final

from attrs import define, field

from iexec_worker.devpool.broker.frames import BadFrame, Frame, decode
from iexec_worker.devpool.broker.session import Session
from iexec_worker.devpool.changes import Changes

_TOPIC: Final = "/topic"
_MESSAGE_LIMIT: Final = 64 * 1024
_PROTOCOL_ERROR: Final = (1002, "")
_TOO_BIG: Final = (1009, "")


@define(eq=False)
class Connection:
    """One client of the broker. *subscriptions*: id → destination."""

    session: Session
    broker: SimpleBroker
    connected: bool = False
    subscriptions: dict[str, str] = field(factory=dict)
    _sent: int = 0

    def receive(self, text: str) -> None:
        """Handle one message of the client."""
        if len(text.encode()) > _MESSAGE_LIMIT:
            self.session.close(*_TOO_BIG)
            return
        try:
            frame = decode(text)
        except BadFrame as reason:
            self._fail(str(reason))
            return
        if frame is not None:
            self._handle(frame)

    def message(self, subscription: str, destination: str, content_type: str, body: str) -> None:
        """Send one MESSAGE for *subscription*."""
        headers = {
            "destination": destination,
            "content-type": content_type,
            "subscription": subscription,
            "message-id": f"{self.session.id}-{self._sent}",
            "content-length": str(len(body.encode())),
        }
        self._sent += 1
        self.session.push(Frame("MESSAGE", headers, body).encode())

    def _handle(self, frame: Frame) -> None:
        match frame.command:
            case "CONNECT" | "STOMP":
                self._connect(frame)
            case "SUBSCRIBE":
                self._subscribe(frame)
            case "UNSUBSCRIBE":
                self.subscriptions.pop(frame.headers.get("id", ""), None)
            case "SEND":
                destination = frame.headers.get("destination", "")
                content_type = frame.headers.get("content-type", "text/plain;charset=UTF-8")
                self.broker.publish(destination, frame.body, content_type)
            case "DISCONNECT":
                self._disconnect(frame)

    def _connect(self, frame: Frame) -> None:
        versions = frame.headers.get("accept-version", "").split(",")
        version = next((v for v in ("1.2", "1.1") if v in versions), None)
        if version is None:
            self._fail("Unsupported STOMP version")
            return
        self.connected = True
        # 0,0: neither side beats; SockJS does.
        connected = Frame("CONNECTED", {"version": version, "heart-beat": "0,0"})
        self.session.push(connected.encode())

    def _subscribe(self, frame: Frame) -> None:
        # Not acknowledged, even when a receipt is asked for.
        destination, key = frame.headers.get("destination"), frame.headers.get("id")
        if destination is None or key is None:
            self._fail("a subscription needs `destination` and `id`")
            return
        if destination.startswith(_TOPIC):
            self.subscriptions[key] = destination
            self.broker.subscribed()

    def _disconnect(self, frame: Frame) -> None:
        self.subscriptions.clear()
        receipt = frame.headers.get("receipt")
        if receipt is None:
            self._fail("Session closed.")
        else:
            self.session.push(Frame("RECEIPT", {"receipt-id": receipt}).encode())

    def _fail(self, message: str) -> None:
        error = Frame("ERROR", {"message": message, "content-length": "0"})
        self.session.push(error.encode())
        self.session.close(*_PROTOCOL_ERROR)


@define(eq=False)
class SimpleBroker:
    """Delivers to whoever is subscribed right now; nothing is kept for later."""

    connections: dict[str, Connection] = field(factory=dict, init=False)
    _changes: Changes = field(factory=Changes, init=False)

    def connect(self, session: Session) -> None:
        """Take *session* on."""
        connection = self.connections[session.id] = Connection(session, self)
        session.deliver = connection.receive

    def forget(self, session: Session) -> None:
        """Drop what *session* subscribed to."""
        self.connections.pop(session.id, None)

    def publish(self, destination: str, body: str, content_type: str = "application/json") -> int:
        """Deliver *body* to every subscription of *destination*; how many there were."""
        receivers = self._receivers(destination)
        for connection, key in receivers:
            connection.message(key, destination, content_type, body)
        return len(receivers)

    def subscribed(self) -> None:
        """Note that there is a new subscription."""
        self._changes.ring()

    def _receivers(self, destination: str) -> list[tuple[Connection, str]]:
        return [
            (connection, key)
            for connection in self.connections.values()
            for key, wanted in connection.subscriptions.items()
            if wanted == destination
        ]
