"""The input folder of a standard task: its dataset and its input files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import stamina
from attrs import frozen

from iexec_worker.errors import BadChecksum, DownloadFailed, Unavailable
from iexec_worker.inputs.download import Downloader
from iexec_worker.inputs.ipfs import gateway_urls, is_multiaddress
from iexec_worker.model import ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.inputs.download import Downloaded
    from iexec_worker.model import TaskDescription

    Progress = Callable[[int, int | None], None]

ATTEMPTS: Final = 3
FIRST_WAIT: Final = 1.0
"""Seconds, doubled and jittered. A failed download ends in a contribution of the error, which
loses the stake when the others could download: a hiccup of the network is worth a short wait."""


def _ignore(done: int, total: int | None) -> None:
    """Nobody watches."""


def input_file_name(url: str) -> str:
    """The name of an input file in `/iexec_in`: the `0x` sha256 of its URL."""
    return "0x" + hashlib.sha256(url.encode()).hexdigest()


@frozen
class InputFiles:
    """Fetches with *downloader*; content on IPFS from the first of *gateways* that has it."""

    downloader: Downloader
    gateways: Sequence[str]

    async def fetch_dataset(
        self, task: TaskDescription, into: Path, progress: Progress = _ignore
    ) -> Downloaded:
        """
        Download the dataset of *task*, under the name of its address, and compare its checksum.

        Raises `BadChecksum` when the content is not what the chain says (or the chain says
        nothing), `DownloadFailed` when it cannot be had.
        """
        uri = task.dataset_uri
        urls = gateway_urls(uri, self.gateways) if is_multiaddress(uri) else (uri,)
        file = await self._fetch(urls, into, task.dataset_address, progress)
        # In this order, although no file fits a checksum that was never set: the cause that the
        # pool is told enters the error result, and has to be the one of the other workers.
        fault = _fault(task.dataset_checksum.lower(), file.sha256)
        if fault:
            file.path.unlink()
            raise BadChecksum(f"dataset {task.dataset_address}: {fault}")
        return file

    async def fetch_input(
        self, url: str, into: Path, progress: Progress = _ignore, *, taken: int = 0
    ) -> Downloaded:
        """
        Download one input file, under the name that the app is told.

        *taken*: bytes of the task's other files. Raises `DownloadFailed`.
        """
        return await self._fetch((url,), into, input_file_name(url), progress, taken)

    async def _fetch(
        self, urls: Sequence[str], into: Path, name: str, progress: Progress, taken: int = 0
    ) -> Downloaded:
        try:
            async for attempt in stamina.retry_context(
                on=Unavailable, attempts=ATTEMPTS, timeout=None, wait_initial=FIRST_WAIT
            ):
                with attempt:
                    return await self._first_of(urls, into, name, progress, taken)
        except Unavailable as error:
            raise DownloadFailed(f"{error} ({ATTEMPTS} attempts)") from error
        raise AssertionError("retries end with a value or an error")

    async def _first_of(
        self, urls: Sequence[str], into: Path, name: str, progress: Progress, taken: int
    ) -> Downloaded:
        """Return the file from the first URL that has it; else raise the most hopeful error."""
        failures: list[DownloadFailed | Unavailable] = []
        for url in urls:
            try:
                return await self.downloader.fetch(url, into, name, progress, taken=taken)
            except (DownloadFailed, Unavailable) as error:
                failures.append(error)
        text = "; ".join(str(failure) for failure in failures)
        if any(isinstance(failure, Unavailable) for failure in failures):
            raise Unavailable(text)
        raise DownloadFailed(text)


def _fault(expected: str, actual: str) -> str:
    """What is wrong with the content, empty when nothing is."""
    if expected in ("", ZERO_HASH):
        return "no checksum on-chain"
    return "" if expected == actual else f"its sha256 is {actual}, on-chain is {expected}"
