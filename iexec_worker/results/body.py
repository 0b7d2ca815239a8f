"""The body of an upload: JSON with the archive in base64 inside, made while it is sent."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.model import Authorization

CHUNK: Final = 3 * 128 * 1024
"""Bytes of the archive per piece; a multiple of 3, so that only the last one is padded."""

NO_SIGNATURE: Final = "0x" + 130 * "0"


@frozen
class UploadBody:
    """*archive* is read from its begin, *size* bytes, once per iteration."""

    archive: BinaryIO
    size: int
    head: bytes
    tail: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self.head) + (self.size + 2) // 3 * 4 + len(self.tail)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body. Holds one piece at a time."""
        yield self.head
        for offset in range(0, self.size, CHUNK):
            wanted = min(CHUNK, self.size - offset)
            yield await trio.to_thread.run_sync(self._encode, offset, wanted)
        yield self.tail

    def _encode(self, offset: int, wanted: int) -> bytes:
        self.archive.seek(offset)
        return base64.b64encode(self.archive.read(wanted))


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
