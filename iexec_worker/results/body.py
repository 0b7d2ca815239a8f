"""The body of an upload: JSON with the archive in base64 inside, made while it is sent."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import httpx
import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from iexec_worker.model import Authorization

CHUNK: Final = 3 * 128 * 1024
"""Bytes of the archive per piece; a multiple of 3, so that only the last one is padded."""

NO_SIGNATURE: Final = "0x" + 130 * "0"


@frozen
class UploadBody(httpx.AsyncByteStream):
    """*archive* is read from its begin, *size* bytes, whenever the body is iterated."""

    archive: BinaryIO
    size: int
    head: bytes
    tail: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self.head) + (self.size + 2) // 3 * 4 + len(self.tail)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate the body; one piece at a time is held."""
        return _Pieces(self)


class _Pieces:
    # No generator: nothing is left to be closed when an upload is cut off.
    def __init__(self, body: UploadBody) -> None:
        self._archive = body.archive
        self._plan = iter(_plan(body))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = next(self._plan, None)
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, bytes):
            return piece
        return await trio.to_thread.run_sync(self._encode, piece)

    def _encode(self, part: range) -> bytes:
        self._archive.seek(part.start)
        return base64.b64encode(self._archive.read(len(part)))


def _plan(body: UploadBody) -> Iterator[bytes | range]:
    """What to send: bytes as they are, ranges of the archive in base64."""
    yield body.head
    for start in range(0, body.size, CHUNK):
        yield range(start, min(start + CHUNK, body.size))
    yield body.tail


def upload_body(archive: BinaryIO, ours: Authorization, digest: str) -> UploadBody:
    """Make the result proxy's ResultModel for *archive*, an open file."""
    head: dict[str, Any] = {
        "chainTaskId": ours.chain_task_id,
        "dealId": ours.deal_id,
        "taskIndex": ours.task_index,
        "image": None,
        "cmd": None,
    }
    tail = {"deterministHash": digest, "enclaveSignature": NO_SIGNATURE}
    return UploadBody(
        archive=archive,
        size=os.fstat(archive.fileno()).st_size,
        head=json.dumps(head)[:-1].encode() + b', "zip": "',
        tail=b'", ' + json.dumps(tail)[1:].encode(),
    )
