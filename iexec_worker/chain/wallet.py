"""
The key of the worker, from a V3 keystore.

eth_keyfile is used directly: eth_account's `decrypt` is the same call behind a parser, takes
version 4 (BLS) files too, whose keys are no Ethereum keys, and its `encrypt` reads the
environment for the key derivation. Signing is eth_account's.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_typing import Hash32

from iexec_worker.chain.commitments import authorization_hash, hex_bytes, prefixed_hash
from iexec_worker.chain.transactions.signed import SignedTx
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from iexec_worker.model import Authorization
    from iexec_worker.secret import Secret

_V3: Final = 3
_PATH: Final = "IEXEC_WORKER_WALLET_PATH"
_PASSWORD: Final = "IEXEC_WORKER_WALLET_PASSWORD"  # noqa: S105 - the name of a variable


@frozen(repr=False)
class Wallet:
    """A private key that signs; it is never shown."""

    _account: LocalAccount = field(alias="account")

    @classmethod
    def from_key(cls, key: str) -> Wallet:
        """Take a private key in hex."""
        return cls(Account.from_key(hex_bytes(key)))

    @classmethod
    def decrypt(cls, path: Path, password: Secret) -> Wallet:
        """Open the keystore at *path*; takes about a second, so call it in a thread."""
        return cls(Account.from_key(_open(path, _read(path), password)))

    @classmethod
    def create(cls, path: Path, password: Secret) -> Wallet:
        """Write a new keystore (scrypt, mode 0600). An existing file is left alone: Fatal."""
        key = secrets.token_bytes(32)
        keystore = create_keyfile_json(key, password.reveal().encode(), kdf="scrypt")
        _write(path, json.dumps(keystore))
        return cls(Account.from_key(key))

    @property
    def address(self) -> str:
        """`0x` + lower-case hex: the worker's name for the pool."""
        return str(self._account.address).lower()

    def sign_hash(self, hash_hex: str) -> str:
        """Sign the 32 bytes of *hash_hex* as they are: `0x` r s v, v 27 or 28."""
        signed = self._account.unsafe_sign_hash(Hash32(hex_bytes(hash_hex)))
        return "0x" + bytes(signed.signature).hex()

    def sign_prefixed(self, hash_hex: str) -> str:
        """Sign the 32 bytes of *hash_hex* behind the Ethereum prefix: `0x` r s v."""
        return self.sign_hash(prefixed_hash(hash_hex))

    def sign_authorization(self, ours: Authorization) -> str:
        """Sign, prefixed, what the pool permits us: who has this is one of the task's workers."""
        return self.sign_prefixed(
            authorization_hash(ours.worker_wallet, ours.chain_task_id, ours.enclave_challenge)
        )

    def sign_transaction(self, transaction: Mapping[str, Any]) -> SignedTx:
        """Sign a legacy transaction with nonce, gasPrice, gas, to, value, data and chainId."""
        # eth_account insists on the mixed-case spelling of addresses, or bytes.
        fields = {**transaction, "to": hex_bytes(transaction["to"])}
        signed = self._account.sign_transaction(fields)
        return SignedTx.read(bytes(signed.raw_transaction))


def exposed(path: Path) -> str:
    """Say how others on this machine may use the keystore at *path*; empty: they may not."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ""
    return f"wallet {path} is open to other users (mode {stat.S_IMODE(mode):04o}): chmod 600 it"


def _read(path: Path) -> dict[str, Any]:
    try:
        keystore = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise Fatal(f"wallet {path} does not exist: set {_PATH} to a V3 keystore file") from None
    except OSError as error:
        raise Fatal(f"wallet {path} cannot be read ({error.strerror}): check {_PATH}") from error
    except ValueError as error:
        raise Fatal(f"wallet {path} is not JSON: set {_PATH} to a V3 keystore file") from error
    if not isinstance(keystore, dict) or keystore.get("version") != _V3:
        raise Fatal(f"wallet {path} is not a V3 keystore: set {_PATH} to one")
    return keystore


def _open(path: Path, keystore: dict[str, Any], password: Secret) -> bytes:
    try:
        return bytes(decode_keyfile_json(keystore, password.reveal().encode()))
    except ValueError as error:
        if "MAC" not in str(error):
            raise Fatal(f"wallet {path} is damaged ({error}): check {_PATH}") from error
        raise Fatal(f"the password does not open wallet {path}: check {_PASSWORD}") from None
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise Fatal(f"wallet {path} is not a complete V3 keystore: check {_PATH}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive: a keystore that is overwritten is money lost.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - pathlib cannot set the mode
            file.write(text)
    except FileExistsError:
        raise Fatal(f"wallet {path} exists already and is kept: choose another path") from None
    except OSError as error:
        raise Fatal(f"wallet {path} cannot be written ({error.strerror})") from error
