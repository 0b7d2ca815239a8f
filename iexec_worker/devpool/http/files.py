"""Files as answers, closed whenever their client goes."""

from __future__ import annotations

from typing import Self

from quart_trio.wrappers.response import TrioFileBody, TrioResponse


class FileBody(TrioFileBody):
    """The library's, but closed also when the client goes while the file is being opened."""

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            if self.file is not None:
                await self.file.aclose()
            raise
        return self


class Response(TrioResponse):
    """What `send_file` answers with."""

    file_body_class = FileBody
