"""Deal parameters, read exactly as the scheduler reads them: it is Java, and strict. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.jackson import Number, read_object, read_text
from iexec_worker.model import DealParams

if TYPE_CHECKING:
    from iexec_worker.jackson import Readers


def parse_deal_params(text: str) -> DealParams:
    """
    Read the `params` of a deal; never fails.

    Text that is no JSON object, has one key that is unknown (the ones that only 8.x knew are)
    or one value of a wrong type becomes the arguments as a whole, all else is default. Scalars
    are taken for text, as the scheduler's parser does, and what follows the object is ignored.
    """
    try:
        return DealParams(**read_object(text, _READERS, "deal parameters"))
    except ValueError:
        return DealParams(args=text)


def _flag(value: object) -> bool:
    match value:
        case None | False | "" | "false" | "False" | "FALSE":
            return False
        case Number():
            return str(int(value)) != "0"
        case True | "true" | "True" | "TRUE":
            return True
    raise TypeError("not a boolean")


def _texts(value: object) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case list():
            return tuple(map(read_text, value))
    raise TypeError("not a list")


def _table(value: object) -> dict[str, str]:
    match value:
        case None:
            return {}
        case dict():
            return {key: read_text(item) for key, item in value.items()}
    raise TypeError("not an object")


_READERS: Final[Readers] = {
    "iexec_args": ("args", read_text),
    "iexec_input_files": ("input_files", _texts),
    "iexec_result_encryption": ("result_encryption", _flag),
    "iexec_result_storage_provider": ("storage_provider", read_text),
    "iexec_result_storage_proxy": ("storage_proxy", read_text),
    "iexec_secrets": ("secrets", _table),
    "bulk_cid": ("bulk_cid", read_text),
}
