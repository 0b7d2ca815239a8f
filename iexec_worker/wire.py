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

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    CHAIN_UNREACHABLE = enum.auto()
    BLOCK_NOT_REACHED = enum.auto()
    STAKE_TOO_LOW = enum.auto()
    OUT_OF_GAS = enum.auto()
    TASK_NOT_ACTIVE = enum.auto()
    TASK_DESCRIPTION_INVALID = enum.auto()
    TASK_DESCRIPTION_NOT_FOUND = enum.auto()
    CONTRIBUTION_ALREADY_SET = enum.auto()
    CONSENSUS_REACHED = enum.auto()
    CHAIN_RECEIPT_NOT_VALID = enum.auto()
    CONSENSUS_BLOCK_MISSING = enum.auto()
    APP_IMAGE_DOWNLOAD_FAILED = enum.auto()
    INPUT_FILES_DOWNLOAD_FAILED = enum.auto()
    DATASET_FILE_DOWNLOAD_FAILED = enum.auto()
    DATASET_FILE_BAD_CHECKSUM = enum.auto()
    APP_NOT_FOUND_LOCALLY = enum.auto()
    APP_COMPUTE_FAILED = enum.auto()
    APP_COMPUTE_TIMEOUT = enum.auto()
    TEE_SESSION_GENERATION_INVALID_AUTHORIZATION = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_EMPTY_PARAMS_UNAUTHORIZED = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_NO_MATCH_ONCHAIN_TYPE = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_TASK_FAILED = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_TASK_NOT_ACTIVE = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_GET_CHAIN_DEAL_FAILED = enum.auto()
    TEE_SESSION_GENERATION_EXECUTION_NOT_AUTHORIZED_INVALID_SIGNATURE = enum.auto()
    TEE_SESSION_GENERATION_PRE_COMPUTE_GET_DATASET_SECRET_FAILED = enum.auto()
    TEE_SESSION_GENERATION_APP_COMPUTE_NO_ENCLAVE_CONFIG = enum.auto()
    TEE_SESSION_GENERATION_APP_COMPUTE_INVALID_ENCLAVE_CONFIG = enum.auto()
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY = (
        enum.auto()
    )
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_STORAGE_TOKENS_FAILED = enum.auto()
    TEE_SESSION_GENERATION_SECURE_SESSION_STORAGE_CALL_FAILED = enum.auto()
    TEE_SESSION_GENERATION_SECURE_SESSION_GENERATION_FAILED = enum.auto()
    TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_FRAMEWORK = enum.auto()
    TEE_SESSION_GENERATION_GET_TASK_DESCRIPTION_FAILED = enum.auto()
    TEE_SESSION_GENERATION_NO_SESSION_REQUEST = enum.auto()
    TEE_SESSION_GENERATION_NO_TASK_DESCRIPTION = enum.auto()
    TEE_SESSION_GENERATION_UNKNOWN_ISSUE = enum.auto()
    PRE_COMPUTE_MISSING_ENCLAVE_CONFIGURATION = enum.auto()
    PRE_COMPUTE_INVALID_ENCLAVE_CONFIGURATION = enum.auto()
    PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION = enum.auto()
    PRE_COMPUTE_IMAGE_MISSING = enum.auto()
    PRE_COMPUTE_TASK_ID_MISSING = enum.auto()
    PRE_COMPUTE_EXIT_REPORTING_FAILED = enum.auto()
    PRE_COMPUTE_TIMEOUT = enum.auto()
    PRE_COMPUTE_OUTPUT_PATH_MISSING = enum.auto()
    PRE_COMPUTE_IS_DATASET_REQUIRED_MISSING = enum.auto()
    PRE_COMPUTE_DATASET_URL_MISSING = enum.auto()
    PRE_COMPUTE_DATASET_KEY_MISSING = enum.auto()
    PRE_COMPUTE_DATASET_CHECKSUM_MISSING = enum.auto()
    PRE_COMPUTE_DATASET_FILENAME_MISSING = enum.auto()
    PRE_COMPUTE_INPUT_FILES_NUMBER_MISSING = enum.auto()
    PRE_COMPUTE_AT_LEAST_ONE_INPUT_FILE_URL_MISSING = enum.auto()
    PRE_COMPUTE_OUTPUT_FOLDER_NOT_FOUND = enum.auto()
    PRE_COMPUTE_DATASET_DOWNLOAD_FAILED = enum.auto()
    PRE_COMPUTE_INVALID_DATASET_CHECKSUM = enum.auto()
    PRE_COMPUTE_DATASET_DECRYPTION_FAILED = enum.auto()
    PRE_COMPUTE_SAVING_PLAIN_DATASET_FAILED = enum.auto()
    PRE_COMPUTE_INPUT_FILE_DOWNLOAD_FAILED = enum.auto()
    PRE_COMPUTE_FAILED_UNKNOWN_ISSUE = enum.auto()
    POST_COMPUTE_IMAGE_MISSING = enum.auto()
    POST_COMPUTE_TASK_ID_MISSING = enum.auto()
    POST_COMPUTE_EXIT_REPORTING_FAILED = enum.auto()
    POST_COMPUTE_TIMEOUT = enum.auto()
    POST_COMPUTE_WORKER_ADDRESS_MISSING = enum.auto()
    POST_COMPUTE_TEE_CHALLENGE_PRIVATE_KEY_MISSING = enum.auto()
    POST_COMPUTE_INVALID_TEE_SIGNATURE = enum.auto()
    POST_COMPUTE_ENCRYPTION_PUBLIC_KEY_MISSING = enum.auto()
    POST_COMPUTE_MALFORMED_ENCRYPTION_PUBLIC_KEY = enum.auto()
    POST_COMPUTE_ENCRYPTION_FAILED = enum.auto()
    POST_COMPUTE_STORAGE_TOKEN_MISSING = enum.auto()
    POST_COMPUTE_COMPUTED_FILE_NOT_FOUND = enum.auto()
    POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED = enum.auto()
    POST_COMPUTE_OUT_FOLDER_ZIP_FAILED = enum.auto()
    POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME = enum.auto()
    POST_COMPUTE_RESULT_FILE_NOT_FOUND = enum.auto()
    POST_COMPUTE_DROPBOX_UPLOAD_FAILED = enum.auto()
    POST_COMPUTE_IPFS_UPLOAD_FAILED = enum.auto()
    POST_COMPUTE_SEND_COMPUTED_FILE_FAILED = enum.auto()
    POST_COMPUTE_FAILED_UNKNOWN_ISSUE = enum.auto()
    TEE_NOT_SUPPORTED = enum.auto()
    DETERMINISM_HASH_NOT_FOUND = enum.auto()
    ENCLAVE_SIGNATURE_NOT_FOUND = enum.auto()
    WORKERPOOL_AUTHORIZATION_NOT_FOUND = enum.auto()
    RESULT_LINK_MISSING = enum.auto()
    TRUST_NOT_1 = enum.auto()
    TASK_ALREADY_CONTRIBUTED = enum.auto()
    CONTRIBUTION_TIMEOUT = enum.auto()
    REVEAL_TIMEOUT = enum.auto()
    TEE_PREPARATION_FAILED = enum.auto()
    UNKNOWN_SMS = enum.auto()
    GET_TEE_SERVICES_CONFIGURATION_FAILED = enum.auto()
    ABORTED_BY_WORKER = enum.auto()
    CANNOT_REVEAL = enum.auto()
    UNKNOWN = enum.auto()
    # Since 9.0; an 8.6 pool refuses an update with one of these.
    PRE_COMPUTE_INVALID_TEE_SIGNATURE = enum.auto()
    PRE_COMPUTE_TEE_CHALLENGE_PRIVATE_KEY_MISSING = enum.auto()
    PRE_COMPUTE_WORKER_ADDRESS_MISSING = enum.auto()
    TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_WORKER_ADDRESS = enum.auto()
    TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_PUBLIC_ENCLAVE_CHALLENGE = enum.auto()
    TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE = enum.auto()
    TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CREDENTIALS = enum.auto()
    # Until 8.x; a pool of 9.x refuses them. They come from an SMS of that age.
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_WORKER_ADDRESS = (
        enum.auto()
    )
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_PUBLIC_ENCLAVE_CHALLENGE = enum.auto()  # noqa: E501 - the pool's name
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE = (
        enum.auto()
    )
    TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CREDENTIALS = (
        enum.auto()
    )
    TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_PROVIDER = enum.auto()


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
