from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json

from iexec_worker.chain.wallet import Wallet, exposed
from iexec_worker.errors import Fatal
from iexec_worker.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = Secret("correct horse ✓")
KEY = bytes.fromhex(64 * "1")
ADDRESS = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


def keystore(kdf: str) -> dict[str, Any]:
    work = {"scrypt": 16, "pbkdf2": 16}[kdf]
    secret = PASSWORD.reveal().encode()
    return create_keyfile_json(KEY, secret, kdf=kdf, iterations=work)  # type: ignore[arg-type]


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_a_v3_keystore_is_opened(tmp_path: Path, kdf: str) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps(keystore(kdf)))

    assert Wallet.decrypt(path, PASSWORD).address == ADDRESS


def test_a_keystore_with_keys_in_capitals_is_opened(tmp_path: Path) -> None:
    found = keystore("scrypt")
    found["Crypto"] = found.pop("crypto")
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps(found))

    assert Wallet.decrypt(path, PASSWORD).address == ADDRESS


def test_a_missing_wallet_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(Fatal) as caught:
        Wallet.decrypt(tmp_path / "none.json", PASSWORD)

    assert "IEXEC_WORKER_WALLET_PATH" in str(caught.value)
    assert "none.json does not exist" in str(caught.value)


def test_a_wrong_password_names_the_variable_and_no_password(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps(keystore("scrypt")))

    with pytest.raises(Fatal) as caught:
        Wallet.decrypt(path, Secret("wrong horse"))

    assert "IEXEC_WORKER_WALLET_PASSWORD" in str(caught.value)
    assert "horse" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"version": 4}',
        '{"version": 3}',
        '{"version": 3, "crypto": {"kdf": "argon2"}}',
        '{"version": 3, "crypto": {"kdf": "scrypt", "kdfparams": {}}}',
        "\xff",
    ],
)
def test_what_is_no_keystore_names_the_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(Fatal, match="IEXEC_WORKER_WALLET_PATH"):
        Wallet.decrypt(path, PASSWORD)


def test_a_folder_is_no_wallet(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="IEXEC_WORKER_WALLET_PATH"):
        Wallet.decrypt(tmp_path, PASSWORD)


@pytest.mark.slow
def test_a_new_wallet_is_private_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "wallet.json"

    created = Wallet.create(path, PASSWORD)

    assert path.stat().st_mode & 0o777 == 0o600
    assert Wallet.decrypt(path, PASSWORD).address == created.address


@pytest.mark.slow
def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    path.write_text("precious")

    with pytest.raises(Fatal, match="exists already"):
        Wallet.create(path, PASSWORD)
    assert path.read_text() == "precious"


def test_signatures_end_with_27_or_28() -> None:
    wallet = Wallet.from_key(KEY.hex())
    ends = {wallet.sign_prefixed(f"0x{number:064x}")[-2:] for number in range(8)}

    assert ends == {"1b", "1c"}


def test_a_signed_transaction_is_legacy_and_ours() -> None:
    wallet = Wallet.from_key(KEY.hex())
    fields = {"nonce": 3, "gasPrice": 7, "gas": 500_000, "value": 0, "chainId": 134}

    signed = wallet.sign_transaction({**fields, "to": ADDRESS, "data": "0x1234"})

    assert signed.raw[0] >= 0xC0, "a typed transaction would begin with its type"
    assert Account.recover_transaction(signed.raw).lower() == ADDRESS
    assert len(signed.tx_hash) == 66


def test_a_wallet_shows_no_key() -> None:
    assert KEY.hex() not in repr(Wallet.from_key(KEY.hex()))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_keystore_that_others_may_use_is_told(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "wallet.json"
    path.write_text("whatever it holds")
    path.chmod(0o600)
    assert exposed(path) == ""
    path.chmod(mode)
    assert exposed(path) == (
        f"wallet {path} is open to other users (mode {mode:04o}): chmod 600 it"
    )


def test_a_keystore_that_is_not_there_is_open_to_nobody(tmp_path: Path) -> None:
    assert exposed(tmp_path / "none.json") == ""
