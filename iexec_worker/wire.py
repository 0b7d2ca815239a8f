"""Names that travel between pool and worker, and their JSON: enums and (un)structuring. Sans-IO."""

from __future__ import annotations

import enum
import functools
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

T = TypeVar("T")


class Status(enum.StrEnum):
    """Statuses of a replicate. The order is the pool's: it compares by it."""

    CREATED = "CREATED"
    STARTING = "STARTING"
    START_FAILED = "START_FAILED"
    STARTED = "STARTED"
    APP_DOWNLOADING = "APP_DOWNLOADING"
    APP_DOWNLOAD_FAILED = "APP_DOWNLOAD_FAILED"
    APP_DOWNLOADED = "APP_DOWNLOADED"
    DATA_DOWNLOADING = "DATA_DOWNLOADING"
    DATA_DOWNLOAD_FAILED = "DATA_DOWNLOAD_FAILED"
    DATA_DOWNLOADED = "DATA_DOWNLOADED"
    COMPUTING = "COMPUTING"
    COMPUTE_FAILED = "COMPUTE_FAILED"
    COMPUTED = "COMPUTED"
    CONTRIBUTING = "CONTRIBUTING"
    CONTRIBUTE_FAILED = "CONTRIBUTE_FAILED"
    CONTRIBUTED = "CONTRIBUTED"
    REVEALING = "REVEALING"
    REVEAL_FAILED = "REVEAL_FAILED"
    REVEALED = "REVEALED"
    RESULT_UPLOAD_REQUESTED = "RESULT_UPLOAD_REQUESTED"
    RESULT_UPLOADING = "RESULT_UPLOADING"
    RESULT_UPLOAD_FAILED = "RESULT_UPLOAD_FAILED"
    RESULT_UPLOADED = "RESULT_UPLOADED"
    CONTRIBUTE_AND_FINALIZE_ONGOING = "CONTRIBUTE_AND_FINALIZE_ONGOING"
    CONTRIBUTE_AND_FINALIZE_FAILED = "CONTRIBUTE_AND_FINALIZE_FAILED"
    CONTRIBUTE_AND_FINALIZE_DONE = "CONTRIBUTE_AND_FINALIZE_DONE"
    COMPLETING = "COMPLETING"
    COMPLETE_FAILED = "COMPLETE_FAILED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    RECOVERING = "RECOVERING"
    WORKER_LOST = "WORKER_LOST"


class Action(enum.StrEnum):
    """What the pool asks of a worker (TaskNotificationType)."""

    PLEASE_CONTINUE = "PLEASE_CONTINUE"
    PLEASE_WAIT = "PLEASE_WAIT"
    PLEASE_START = "PLEASE_START"
    PLEASE_DOWNLOAD_APP = "PLEASE_DOWNLOAD_APP"
    PLEASE_DOWNLOAD_DATA = "PLEASE_DOWNLOAD_DATA"
    PLEASE_COMPUTE = "PLEASE_COMPUTE"
    PLEASE_CONTRIBUTE = "PLEASE_CONTRIBUTE"
    PLEASE_REVEAL = "PLEASE_REVEAL"
    PLEASE_UPLOAD = "PLEASE_UPLOAD"
    PLEASE_CONTRIBUTE_AND_FINALIZE = "PLEASE_CONTRIBUTE_AND_FINALIZE"
    PLEASE_COMPLETE = "PLEASE_COMPLETE"
    PLEASE_ABORT = "PLEASE_ABORT"


class Cause(enum.StrEnum):
    """Why a stage failed (ReplicateStatusCause): the names known to pools from 8.6 to 9.x."""

    CHAIN_UNREACHABLE = "CHAIN_UNREACHABLE"
    BLOCK_NOT_REACHED = "BLOCK_NOT_REACHED"
    STAKE_TOO_LOW = "STAKE_TOO_LOW"
    OUT_OF_GAS = "OUT_OF_GAS"
    TASK_NOT_ACTIVE = "TASK_NOT_ACTIVE"
    TASK_DESCRIPTION_INVALID = "TASK_DESCRIPTION_INVALID"
    TASK_DESCRIPTION_NOT_FOUND = "TASK_DESCRIPTION_NOT_FOUND"
    CONTRIBUTION_ALREADY_SET = "CONTRIBUTION_ALREADY_SET"
    CONSENSUS_REACHED = "CONSENSUS_REACHED"
    CHAIN_RECEIPT_NOT_VALID = "CHAIN_RECEIPT_NOT_VALID"
    CONSENSUS_BLOCK_MISSING = "CONSENSUS_BLOCK_MISSING"
    APP_IMAGE_DOWNLOAD_FAILED = "APP_IMAGE_DOWNLOAD_FAILED"
    INPUT_FILES_DOWNLOAD_FAILED = "INPUT_FILES_DOWNLOAD_FAILED"
    DATASET_FILE_DOWNLOAD_FAILED = "DATASET_FILE_DOWNLOAD_FAILED"
    DATASET_FILE_BAD_CHECKSUM = "DATASET_FILE_BAD_CHECKSUM"
    APP_NOT_FOUND_LOCALLY = "APP_NOT_FOUND_LOCALLY"
    APP_COMPUTE_FAILED = "APP_COMPUTE_FAILED"
    APP_COMPUTE_TIMEOUT = "APP_COMPUTE_TIMEOUT"
    TEE_NOT_SUPPORTED = "TEE_NOT_SUPPORTED"
    POST_COMPUTE_COMPUTED_FILE_NOT_FOUND = "POST_COMPUTE_COMPUTED_FILE_NOT_FOUND"
    POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED = "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED"
    POST_COMPUTE_OUT_FOLDER_ZIP_FAILED = "POST_COMPUTE_OUT_FOLDER_ZIP_FAILED"
    POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME = "POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME"
    POST_COMPUTE_SEND_COMPUTED_FILE_FAILED = "POST_COMPUTE_SEND_COMPUTED_FILE_FAILED"
    POST_COMPUTE_FAILED_UNKNOWN_ISSUE = "POST_COMPUTE_FAILED_UNKNOWN_ISSUE"
    DETERMINISM_HASH_NOT_FOUND = "DETERMINISM_HASH_NOT_FOUND"
    WORKERPOOL_AUTHORIZATION_NOT_FOUND = "WORKERPOOL_AUTHORIZATION_NOT_FOUND"
    RESULT_LINK_MISSING = "RESULT_LINK_MISSING"
    CONTRIBUTION_TIMEOUT = "CONTRIBUTION_TIMEOUT"
    CANNOT_REVEAL = "CANNOT_REVEAL"
    ABORTED_BY_WORKER = "ABORTED_BY_WORKER"
    UNKNOWN = "UNKNOWN"


def member(kind: type[T], value: object) -> T | None:
    """The member of enum *kind* that *value* names, or None: a newer pool may send new names."""
    try:
        return kind(value)  # type: ignore[call-arg]
    except ValueError:
        return None


def camel(name: str) -> str:
    """`chain_task_id` → `chainTaskId`: the spelling of every field on the wire."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


@functools.cache
def converter() -> cattrs.Converter:
    """
    The converter of frozen attrs classes to and from the pool's JSON.

    Field names become camelCase (or metadata `wire`), unknown fields are ignored.
    """
    conv = cattrs.Converter(forbid_extra_keys=False)

    def names(cls: type) -> dict[str, Any]:
        return {
            f.name: override(rename=f.metadata.get("wire", camel(f.name)))
            for f in attrs.fields(attrs.resolve_types(cls))
        }

    conv.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, conv, **names(cls))
    )
    conv.register_structure_hook_factory(
        attrs.has, lambda cls: make_dict_structure_fn(cls, conv, **names(cls))
    )
    return conv
