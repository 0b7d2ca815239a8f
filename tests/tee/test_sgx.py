from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iexec_worker.errors import Fatal
from iexec_worker.tee.sgx import Sgx

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDED = {
    "LEGACY": ("/dev/isgx", "/sys/module/isgx/version"),
    "NATIVE": ("/dev/sgx/enclave", "/dev/sgx/provision"),
}


@pytest.fixture
def host(tmp_path: Path) -> Callable[..., Path]:
    """Makes a host's root with these devices and files."""

    def make(*paths: str) -> Path:
        for path in paths:
            place = tmp_path / path.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.startswith("/dev"):
                # As udev does it: a link to the node.
                place.symlink_to("/dev/null")
            else:
                place.touch()
        return tmp_path

    return make


@pytest.mark.parametrize("mode", NEEDED)
def test_a_machine_with_all_devices_of_its_driver_is_fine(
    host: Callable[..., Path], mode: str
) -> None:
    Sgx(mode, host(*NEEDED[mode])).require()


@pytest.mark.parametrize(
    ("mode", "missing"), [(mode, path) for mode, paths in NEEDED.items() for path in paths]
)
def test_what_is_missing_is_named_with_what_to_do(
    host: Callable[..., Path], mode: str, missing: str
) -> None:
    root = host(*(path for path in NEEDED[mode] if path != missing))

    with pytest.raises(Fatal) as fatal:
        Sgx(mode, root).require()

    text = str(fatal.value)
    assert f"IEXEC_WORKER_SGX_DRIVER_MODE is {mode}, but {missing} is missing below" in text
    assert f"IEXEC_WORKER_HOST_ROOT={root}" in text
    assert ("modprobe isgx" in text) == (mode == "LEGACY")


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="/dev/sgx/enclave and /dev/sgx/provision are missing"):
        Sgx("NATIVE", tmp_path).require()


def test_a_file_is_no_device(tmp_path: Path) -> None:
    for name in ("enclave", "provision"):
        place = tmp_path / "dev/sgx" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()

    with pytest.raises(Fatal, match="are missing"):
        Sgx("NATIVE", tmp_path).require()


def test_nothing_is_needed_without_a_driver(tmp_path: Path) -> None:
    sgx = Sgx("NONE", tmp_path)
    sgx.require()

    assert (sgx.enabled, sgx.devices) == (False, ())


def test_the_hosts_own_root_is_the_usual_one() -> None:
    assert Sgx("NATIVE", Path("/")).place("/dev/sgx/enclave") == Path("/dev/sgx/enclave")
