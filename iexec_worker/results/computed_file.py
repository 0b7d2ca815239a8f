"""`computed.json`: what the app says of its result."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from iexec_worker.model import ComputedFile
from iexec_worker.results.beneath import open_below, open_folder, read_chunks

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "computed.json"
MAX_BYTES: Final = 1024**2


def require_small(iexec_out: Path) -> None:
    """
    Look at the size of the file, before all of *iexec_out* is packed with it.

    Raises `ValueError` when it is too large. What else is wrong with it is found by `copy`.
    """
    with suppress(OSError), open_folder(iexec_out) as root:
        info = os.stat(NAME, dir_fd=root, follow_symlinks=False)
        if stat.S_ISREG(info.st_mode):
            _require_small(info.st_size)


def copy(iexec_out: Path, output: Path) -> None:
    """
    Copy the file from *iexec_out* to *output*, where no app can change it any more.

    Raises `OSError` when there is none, `ValueError` when it is no regular file or too large.
    """
    write_whole(output / NAME, _content(iexec_out))


def read(folder: Path) -> ComputedFile:
    """
    Read the file in *folder*.

    Only where the result is gets believed: the digest, the signature and the task id that an
    app of a standard task may write there are ours to say.

    Raises `OSError` when there is none, `ValueError` when it is not what it should be.
    """
    return parse(_content(folder))


def parse(content: bytes) -> ComputedFile:
    """
    Read the bytes of a computed file. What follows the JSON object is ignored, as by the others.

    Raises `ValueError` when they are not a JSON object, or a value in it is no text.
    """
    try:
        text = content.decode(json.detect_encoding(content))
        document, _ = json.JSONDecoder(parse_constant=_refuse).raw_decode(text.lstrip())
    except RecursionError:
        raise ValueError(f"{NAME} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{NAME} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{NAME} is not a JSON object")  # noqa: TRY004 - a fault of the app's
    return ComputedFile(
        deterministic_output_path=_text(document, "deterministic-output-path"),
        callback_data=_text(document, "callback-data"),
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write *path* whole, in place of whatever is there; links are replaced, not followed."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _content(folder: Path) -> bytes:
    with open_folder(folder) as root, open_below(root, (NAME,)) as (fd, info):
        if not stat.S_ISREG(info.st_mode):
            raise ValueError(f"{NAME} is a folder")
        content = b"".join(read_chunks(fd, MAX_BYTES + 1))
    _require_small(len(content))
    return content


def _require_small(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{NAME} is larger than {MAX_BYTES} bytes")


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{NAME}: {key} is not text")  # noqa: TRY004 - a fault of the app's
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")
