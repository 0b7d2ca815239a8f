from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import attrs
import pytest
import stamina

from iexec_worker.errors import BadChecksum, DownloadFailed
from iexec_worker.inputs.files import InputFiles, input_file_name
from iexec_worker.inputs.ipfs import gateway_urls
from iexec_worker.model import ZERO_HASH
from tests import samples

from .conftest import names_in, ok, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iexec_worker.inputs.download import Downloader

    from .conftest import Origin

DATASET = "0x" + 40 * "d"
CHECKSUM = "0x" + hashlib.sha256(b"data").hexdigest()
TASK = samples.description(dataset_address=DATASET, dataset_checksum=CHECKSUM)


@pytest.fixture(autouse=True)
def no_waits() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def files(downloader: Downloader, origin: Origin) -> InputFiles:
    return InputFiles(downloader, (origin.url("/one/"), origin.url("/two")))


async def test_a_dataset_gets_its_address_as_name(
    files: InputFiles, origin: Origin, tmp_path: Path
) -> None:
    origin.answers["/data"] = ok(b"data")
    task = attrs.evolve(TASK, dataset_uri=origin.url("/data"))
    file = await files.fetch_dataset(task, tmp_path)
    assert file.path == tmp_path / DATASET
    assert file.path.read_bytes() == b"data"


@pytest.mark.parametrize("scheme", ["ipfs", "p2p"])
async def test_the_next_gateway_is_asked_when_one_does_not_have_it(
    files: InputFiles, origin: Origin, tmp_path: Path, scheme: str
) -> None:
    origin.answers["/two/ipfs/Qm1"] = ok(b"data")
    await files.fetch_dataset(attrs.evolve(TASK, dataset_uri=f"/{scheme}/Qm1"), tmp_path)
    assert [request.split()[1] for request in origin.requests] == ["/one/ipfs/Qm1", "/two/ipfs/Qm1"]


@pytest.mark.parametrize(
    ("checksum", "fact"),
    [("0x" + 64 * "1", "its sha256 is " + CHECKSUM), (ZERO_HASH, "no checksum on-chain")],
)
async def test_a_dataset_with_another_checksum_is_removed(
    files: InputFiles, origin: Origin, tmp_path: Path, checksum: str, fact: str
) -> None:
    origin.answers["/data"] = ok(b"data")
    task = attrs.evolve(TASK, dataset_uri=origin.url("/data"), dataset_checksum=checksum)
    with pytest.raises(BadChecksum, match=fact):
        await files.fetch_dataset(task, tmp_path)
    assert not names_in(tmp_path)


async def test_a_dataset_nobody_has_is_a_failed_download_even_without_a_checksum(
    files: InputFiles, tmp_path: Path
) -> None:
    task = attrs.evolve(TASK, dataset_uri="/ipfs/Qm1", dataset_checksum=ZERO_HASH)
    with pytest.raises(DownloadFailed, match=r"404.*; .*404"):
        await files.fetch_dataset(task, tmp_path)


async def test_an_input_file_is_named_by_the_hash_of_its_url(
    files: InputFiles, origin: Origin, tmp_path: Path
) -> None:
    origin.answers["/input"] = ok(b"data")
    url = origin.url("/input")
    file = await files.fetch_input(url, tmp_path)
    assert file.path.name == "0x" + hashlib.sha256(url.encode()).hexdigest() == input_file_name(url)


async def test_a_server_in_trouble_is_asked_three_times(
    files: InputFiles, origin: Origin, tmp_path: Path
) -> None:
    origin.answers["/input"] = status(503)
    with pytest.raises(DownloadFailed, match=r"503 \(3 attempts\)"):
        await files.fetch_input(origin.url("/input"), tmp_path)
    assert len(origin.requests) == 3


async def test_a_refusal_is_not_repeated(files: InputFiles, origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        await files.fetch_input(origin.url("/input"), tmp_path)
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    "uri",
    [
        "/ipfs/../admin",
        "/ipfs/Qm/%2e%2e/x",
        "/ipfs/Qm/..%2fx",
        "/ipfs/",
        "/ipfs/./x",
        "/p2p/..\\x",
        "/ipfs/.. ",
        "/ipfs/\t",
        "/ipfs/..?x",
        "/ipfs/.#x",
        "/ipfs/Qm/%2e%2e?/x",
    ],
)
def test_a_multiaddress_stays_in_ipfs(uri: str) -> None:
    with pytest.raises(DownloadFailed, match="no path of IPFS"):
        gateway_urls(uri, ("http://gateway",))


def test_ipfs_needs_a_gateway() -> None:
    with pytest.raises(DownloadFailed, match="no gateway"):
        gateway_urls("/ipfs/Qm1", ())
