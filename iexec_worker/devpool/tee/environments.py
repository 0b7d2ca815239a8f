"""What the enclaves of a task are told: each stage's environment, by the SMS's version. Sans-IO."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from eth_utils.address import to_checksum_address

from iexec_worker.devpool.scheduler.sms import PROXY_URL
from iexec_worker.devpool.tee import enclave_config
from iexec_worker.devpool.tee.vault import DROPBOX_TOKEN, ENCRYPTION_KEY, STORAGE_TOKEN
from iexec_worker.model import ZERO_ADDRESS, TeeFramework

if TYPE_CHECKING:
    from iexec_worker.devpool.tee.execution import Dataset, Execution
    from iexec_worker.devpool.tee.vault import Vault

Environment = dict[str, str]

_IN: Final = "/iexec_in"
_OUT: Final = "/iexec_out"

#: Where the result goes; empty for a callback.
_STORAGE: Final = ("RESULT_STORAGE_PROVIDER", "RESULT_STORAGE_PROXY", "RESULT_STORAGE_TOKEN")


class NoSession(Exception):
    """Raised when no session can be made; the text is the SMS's name for the reason."""


@frozen
class Environments:
    """
    Makes the environments of one task: *wallet* is the worker's, *key* the enclave's private key.

    *major* is the SMS's version. Every method raises NoSession.
    """

    execution: Execution
    vault: Vault
    wallet: str
    key: str = field(repr=False)
    major: int

    def pre_compute(self) -> Environment:
        """What fetches the inputs has to know."""
        dataset = self.execution.dataset
        found: Environment = {
            "IEXEC_PRE_COMPUTE_OUT": _IN,
            "IS_DATASET_REQUIRED": _boolean(dataset is not None),
        }
        if dataset is not None:
            key = self.vault.datasets.get(dataset.address)
            if key is None:
                raise NoSession("PRE_COMPUTE_GET_DATASET_SECRET_FAILED")
            found |= _dataset("IEXEC_DATASET", dataset, key)
        found |= self._task() | self._input_urls() | self._bulk()
        # Enclaves of 8.x report without a signature.
        return found | (self._signing() if self.major >= 9 else {})

    def app(self) -> Environment:
        """What the app has to know: what a standard one is told, and secrets."""
        found, deal = self.execution, self.execution.deal
        if found.framework is not TeeFramework.TDX and (
            error := enclave_config.refuse(found.app.enclave)
        ):
            raise NoSession(error)
        return {
            **self._task(),
            "IEXEC_IN": _IN,
            "IEXEC_OUT": _OUT,
            "IEXEC_BOT_SIZE": str(deal.bot_size),
            "IEXEC_BOT_FIRST_INDEX": str(deal.bot_first),
            "IEXEC_BOT_TASK_INDEX": str(found.index),
            "IEXEC_DATASET_ADDRESS": found.dataset.address if found.dataset else ZERO_ADDRESS,
            "IEXEC_DATASET_FILENAME": found.dataset.address if found.dataset else ZERO_ADDRESS,
            **self._input_names(),
            **self._bulk_names(),
            **self._app_secrets(),
        }

    def post_compute(self) -> Environment:
        """What deals with the result has to know."""
        return self._encryption() | self._storage() | self._signing()

    def _task(self) -> Environment:
        return {
            "IEXEC_DEAL_ID": self.execution.deal.deal_id,
            "IEXEC_TASK_INDEX": str(self.execution.index),
            "IEXEC_TASK_ID": self.execution.task_id,
        }

    def _input_urls(self) -> Environment:
        urls = self.execution.params.input_files
        numbered = {f"IEXEC_INPUT_FILE_URL_{n}": url for n, url in enumerate(urls, 1)}
        count = {"IEXEC_INPUT_FILES_FOLDER": _IN, "IEXEC_INPUT_FILES_NUMBER": str(len(urls))}
        return count | numbered

    def _input_names(self) -> Environment:
        urls = self.execution.params.input_files
        names = {
            f"IEXEC_INPUT_FILE_NAME_{n}": "0x" + sha256(url.encode()).hexdigest()
            for n, url in enumerate(urls, 1)
        }
        folder = {"IEXEC_INPUT_FILES_FOLDER": _IN} if urls else {}
        return {"IEXEC_INPUT_FILES_NUMBER": str(len(urls))} | folder | names

    def _bulk(self) -> Environment:
        if not self.execution.params.bulk_cid:
            return {}
        found = {"IEXEC_BULK_SLICE_SIZE": str(len(self.execution.datasets))}
        for number, dataset in enumerate(self.execution.datasets, 1):
            # A key that is not there is for pre-compute to complain about.
            key = self.vault.datasets.get(dataset.address, "")
            found |= _dataset(f"IEXEC_DATASET_{number}", dataset, key)
        return found

    def _bulk_names(self) -> Environment:
        if not self.execution.params.bulk_cid:
            return {}
        datasets = self.execution.datasets
        names = {f"IEXEC_DATASET_{n}_FILENAME": d.address for n, d in enumerate(datasets, 1)}
        return {"IEXEC_BULK_SLICE_SIZE": str(len(datasets))} | names

    def _app_secrets(self) -> Environment:
        deal, found = self.execution.deal, Environment()
        developers = self.vault.apps.get(deal.app.pointer.lower())
        if developers is not None:
            found |= {
                "IEXEC_APP_DEVELOPER_SECRET": developers,
                "IEXEC_APP_DEVELOPER_SECRET_1": developers,
            }
        for number, name in self.execution.params.secrets.items():
            secret = self.vault.requesters.get((deal.requester.lower(), name))
            if secret is not None:
                found[f"IEXEC_REQUESTER_SECRET_{number}"] = secret
        return found

    def _encryption(self) -> Environment:
        wanted, key = self.execution.params.encryption, None
        if wanted:
            key = self.vault.web2(self.execution.deal.beneficiary, ENCRYPTION_KEY)
            if not key:
                raise NoSession("POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY")
        return {
            "RESULT_ENCRYPTION": self._yes(wanted),
            "RESULT_ENCRYPTION_PUBLIC_KEY": key or "",
        }

    def _storage(self) -> Environment:
        params, callback = self.execution.params, self.execution.has_callback
        proxy = params.proxy or self._pools_proxy()
        where = ("", "", "") if callback else (params.provider, proxy, self._token())
        return {
            "RESULT_STORAGE_CALLBACK": self._yes(callback),
            **dict(zip(_STORAGE, where, strict=True)),
        }

    def _pools_proxy(self) -> str:
        return self.vault.web2(self.execution.deal.workerpool.owner, PROXY_URL) or ""

    def _token(self) -> str:
        requester = self.execution.deal.requester
        if self.execution.params.provider == "dropbox":
            token = self.vault.web2(requester, DROPBOX_TOKEN)
        else:
            workers = self.vault.web2(self.wallet, STORAGE_TOKEN)
            token = workers or self.vault.web2(requester, STORAGE_TOKEN)
        if not token:
            raise NoSession("POST_COMPUTE_GET_STORAGE_TOKENS_FAILED")
        return token

    def _signing(self) -> Environment:
        """What an enclave signs with, and what: its task, for its worker."""
        newer = self.major >= 9
        if not self.key:
            where = "" if newer else "POST_COMPUTE_"
            raise NoSession(f"{where}GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE")
        prefix = "" if newer else "RESULT_"
        return {
            "IEXEC_TASK_ID" if newer else "RESULT_TASK_ID": self.execution.task_id,
            f"{prefix}SIGN_WORKER_ADDRESS": to_checksum_address(self.wallet),
            f"{prefix}SIGN_TEE_CHALLENGE_PRIVATE_KEY": self.key,
        }

    def _yes(self, flag: bool) -> str:
        return _boolean(flag) if self.major >= 9 else ("yes" if flag else "no")


def _dataset(prefix: str, dataset: Dataset, key: str) -> Environment:
    return {
        f"{prefix}_KEY": key,
        f"{prefix}_URL": dataset.url,
        f"{prefix}_FILENAME": dataset.address,
        f"{prefix}_CHECKSUM": dataset.checksum,
    }


def _boolean(flag: bool) -> str:
    return "true" if flag else "false"
