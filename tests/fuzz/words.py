"""Words that the readers look for: chance alone would not find them."""

from __future__ import annotations

from typing import Final

#: Names of fields.
NAMES: Final = (
    *("iexec_args", "iexec_input_files", "iexec_result_encryption", "iexec_secrets", "bulk_cid"),
    *("iexec_result_storage_provider", "iexec_result_storage_proxy"),
    *("deterministic-output-path", "callback-data", "result-digest", "enclave-signature"),
    *("task-id", "cause"),
    *("chainTaskId", "taskNotificationType", "taskNotificationExtra", "workersAddress"),
    *("blockNumber", "workerpoolAuthorization", "signature", "value", "taskAbortCause", "smsUrl"),
    *("workerWallet", "enclaveChallenge", "askForReplicatePeriod", "workerPoolAddress"),
    *("chainId", "blockTime", "iexecHubContractAddress", "chainNodeUrl"),
    *("framework", "provider", "entrypoint", "heapSize", "fingerprint", "services", "environment"),
    *("preComputeProperties", "postComputeProperties", "image", "heapSizeInBytes", "lasImage"),
    *("sessionId", "secretProvisioningUrl", "name", "image_name"),
    *("id", "result", "error", "code", "message", "data", "version", "record", "authorization"),
)
#: Values and beginnings of values.
WORDS: Final = (
    *("0x" + 64 * "a", "0x" + 40 * "1", "0x", "PLEASE_START", "PLEASE_ABORT", "PT5S", "P1D"),
    *("PRE_COMPUTE_TIMEOUT", "POST_COMPUTE_FAILED_UNKNOWN_ISSUE", "0x" + 130 * "e"),
    *("SCONE", "GRAMINE", 64 * "f", "pre-compute", "app", "post-compute", "NO_TASK_DESCRIPTION"),
    *("/iexec_out", "http://a.test", "app:1", "true", "ipfs", "\ud800", "\x1b[31m\n"),
)

_SIGNS: Final = (
    *('{"', '":', ",", "[", "]", "}", "null", "true", "1e999", "\\u0000", "\\ud800", "\n", "\0"),
    *("MESSAGE", "CONNECTED", "ERROR", "RECEIPT", "content-length:", "destination:"),
    *("http://", "https://", "/ipfs/", "/p2p/", "..", "%2e", "%2f", "@", "sha256:", "localhost"),
)


def dictionary() -> str:
    """All of them in the form that libFuzzer reads."""
    return "".join(f'"{_escaped(word)}"\n' for word in (*NAMES, *WORDS, *_SIGNS))


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass"))
