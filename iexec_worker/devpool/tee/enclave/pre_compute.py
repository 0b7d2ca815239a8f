"""Pre-compute: what the app reads is downloaded, and datasets are checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.enclave.requests import NoAnswer, ask
from iexec_worker.devpool.tee.enclave.telling import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRUE: Final = frozenset({"true", "yes"})


def run(given: Mapping[str, str], *, root: str = "") -> list[bytes]:
    """
    Fill the folder of the app's input; returns the contents.

    Datasets of the embedded pool are not encrypted, so there is nothing to decrypt; *root* is
    where the container's files are.
    """
    folder = given.get("IEXEC_PRE_COMPUTE_OUT")
    if not folder:
        raise Failed("PRE_COMPUTE_OUTPUT_PATH_MISSING")
    if not Path(root + folder).is_dir():
        raise Failed("PRE_COMPUTE_OUTPUT_FOLDER_NOT_FOUND")
    contents = []
    for name, content in (*_datasets(given), *_inputs(given)):
        try:
            Path(root + folder, name).write_bytes(content)
        except OSError as error:
            raise Failed("PRE_COMPUTE_SAVING_PLAIN_DATASET_FAILED", reason=str(error)) from error
        contents.append(content)
    return contents


def _datasets(given: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The task's dataset and those of its slice of a bulk, each by name."""
    if "IS_DATASET_REQUIRED" not in given:
        raise Failed("PRE_COMPUTE_IS_DATASET_REQUIRED_MISSING")
    if given["IS_DATASET_REQUIRED"] in _TRUE:
        yield _dataset(given, "IEXEC_DATASET")
    for number in range(1, int(given.get("IEXEC_BULK_SLICE_SIZE") or 0) + 1):
        yield _dataset(given, f"IEXEC_DATASET_{number}")


def _dataset(given: Mapping[str, str], prefix: str) -> tuple[str, bytes]:
    wanted = {name: given.get(f"{prefix}_{name}", "") for name in ("URL", "CHECKSUM", "FILENAME")}
    missing = [f"PRE_COMPUTE_DATASET_{name}_MISSING" for name, value in wanted.items() if not value]
    if missing:
        raise Failed(*missing)
    content = _downloaded(wanted["URL"], "PRE_COMPUTE_DATASET_DOWNLOAD_FAILED")
    if "0x" + hashlib.sha256(content).hexdigest() != wanted["CHECKSUM"]:
        raise Failed("PRE_COMPUTE_INVALID_DATASET_CHECKSUM")
    return wanted["FILENAME"], content


def _inputs(given: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The requester's files, named as apps find them: by the hashes of their URLs."""
    if "IEXEC_INPUT_FILES_NUMBER" not in given:
        raise Failed("PRE_COMPUTE_INPUT_FILES_NUMBER_MISSING")
    for number in range(1, int(given["IEXEC_INPUT_FILES_NUMBER"]) + 1):
        url = given.get(f"IEXEC_INPUT_FILE_URL_{number}")
        if not url:
            raise Failed("PRE_COMPUTE_AT_LEAST_ONE_INPUT_FILE_URL_MISSING")
        name = "0x" + hashlib.sha256(url.encode()).hexdigest()
        yield name, _downloaded(url, "PRE_COMPUTE_INPUT_FILE_DOWNLOAD_FAILED")


def _downloaded(url: str, cause: str) -> bytes:
    try:
        return ask("GET", url)
    except NoAnswer as error:
        raise Failed(cause, reason=str(error)) from error
