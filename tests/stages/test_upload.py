"""Uploading: the link that the pool is told, and what a refusal means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define, field

from iexec_worker.chain.node.blocks import IDLE
from iexec_worker.errors import Rejected, StageFailed, Unauthorized, Unavailable, Unserved
from iexec_worker.model import ComputedFile, DealParams
from iexec_worker.stages.links import TRIES, Proxies, Stored
from iexec_worker.stages.upload import Upload
from iexec_worker.wire import Cause
from tests.samples import SCONE, TASK, description
from tests.stages.conftest import DIGEST

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.stages.task import Task
    from tests.stages.conftest import FakeChain


@define(eq=False)
class FakeProxy:
    """A result proxy; *errors* are what its next uploads end in."""

    name: str = "http://proxy"
    stored: bool = False
    hash: str | Exception | None = "QmHash"
    errors: list[Exception] = field(factory=list)
    uploads: int = 0

    async def token(self, ours: object, signature: str) -> str:
        await trio.lowlevel.checkpoint()
        return "token"

    async def exists(self, token: str, task_id: str) -> bool:
        await trio.lowlevel.checkpoint()
        return self.stored

    async def upload(self, token: str, ours: object, archive: Path, digest: str) -> str:
        await trio.lowlevel.checkpoint()
        self.uploads += 1
        if self.errors:
            raise self.errors.pop(0)
        self.stored = True
        return "/ipfs/"

    async def ipfs_hash(self, task_id: str) -> str | None:
        await trio.lowlevel.checkpoint()
        if isinstance(self.hash, Exception):
            raise self.hash
        return self.hash


class FakeWallet:
    def sign_authorization(self, ours: object) -> str:
        return "0xsigned"


@pytest.fixture
def proxy() -> FakeProxy:
    return FakeProxy()


@pytest.fixture
def asked() -> list[str]:
    """The proxies that were asked, by URL."""
    return []


@pytest.fixture
def upload(proxy: FakeProxy, asked: list[str], chain: FakeChain, task: Task) -> Upload:
    def proxy_at(url: str) -> Any:  # noqa: ANN401 - a FakeProxy
        asked.append(url)
        return proxy

    task.record.computed = ComputedFile("/iexec_out/a", result_digest=DIGEST)
    edges: tuple[Any, Any] = (FakeWallet(), chain)
    proxies = Proxies(proxy_at, "http://pool")
    return Upload(edges[0], proxies, edges[1], Stored(proxies, edges[1]))


async def test_the_link_names_the_hash(upload: Upload, asked: list[str], task: Task) -> None:
    details = await upload(task)
    assert details.result_link == '{ "storage": "ipfs", "location": "/ipfs/QmHash" }'
    assert asked == ["http://pool"]


async def test_what_is_stored_is_not_uploaded_again(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    proxy.stored = True
    assert (await upload(task)).result_link is not None
    assert proxy.uploads == 0


async def test_a_deal_may_name_its_proxy(upload: Upload, asked: list[str], task: Task) -> None:
    params = DealParams(storage_provider="ipfs", storage_proxy="http://own")
    task.describe_as(description(params=params))
    await upload(task)
    assert asked == ["http://own"]


async def test_a_blank_proxy_is_that_of_the_pool(
    upload: Upload, asked: list[str], task: Task
) -> None:
    params = DealParams(storage_provider="ipfs", storage_proxy=" ")
    task.describe_as(description(params=params))
    await upload(task)
    assert asked == ["http://pool"]


async def test_another_storage_uploads_and_has_no_link(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    task.describe_as(description(params=DealParams()))
    with pytest.raises(StageFailed, match="'none'") as caught:
        await upload(task)
    assert (caught.value.cause, proxy.uploads) == (Cause.RESULT_LINK_MISSING, 1)


async def test_a_callback_uploads_nothing(upload: Upload, asked: list[str], task: Task) -> None:
    task.describe_as(description(callback="0x" + 40 * "e"))
    task.record.computed = ComputedFile(callback_data="0xda7a", result_digest=DIGEST)
    details = await upload(task)
    assert (details.chain_callback_data, asked) == ("0xda7a", [])
    assert "ethereum" in (details.result_link or "")


async def test_a_refusal_may_pass_with_the_next_blocks(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    proxy.errors = [Unauthorized("not revealed yet")] * (TRIES - 1)
    assert (await upload(task)).result_link is not None


async def test_a_chain_that_makes_no_blocks_holds_no_result_up(
    upload: Upload, proxy: FakeProxy, chain: FakeChain, task: Task, autojump_clock: object
) -> None:
    chain.idles = True
    proxy.errors = [Unauthorized("not revealed yet")] * (TRIES - 1)
    with trio.fail_after(TRIES * IDLE):
        assert (await upload(task)).result_link is not None


async def test_a_refusal_that_stays_is_a_missing_link(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    proxy.errors = [Rejected("no")] * TRIES
    with pytest.raises(StageFailed) as caught:
        await upload(task)
    assert caught.value.cause is Cause.RESULT_LINK_MISSING


async def test_an_archive_that_is_gone_is_a_missing_link(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    proxy.errors = [FileNotFoundError(2, "No such file")]
    with pytest.raises(StageFailed) as caught:
        await upload(task)
    assert caught.value.cause is Cause.RESULT_LINK_MISSING


async def test_a_proxy_that_is_away_is_tried_again_by_others(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    proxy.errors = [Unavailable("away")]
    with pytest.raises(Unavailable):
        await upload(task)


async def test_what_an_enclave_stored_is_only_found(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    task.describe_as(description(tag=SCONE))
    details = await upload(task)
    assert details.result_link == '{ "storage": "ipfs", "location": "/ipfs/QmHash" }'
    assert proxy.uploads == 0


async def test_what_an_enclave_put_into_a_dropbox_has_its_link(
    upload: Upload, asked: list[str], task: Task
) -> None:
    task.describe_as(description(tag=SCONE, params=DealParams(storage_provider="dropbox")))
    details = await upload(task)
    assert details.result_link == f'{{ "storage": "dropbox", "location": "/results/{TASK}" }}'
    assert asked == []


@pytest.mark.parametrize("provider", ["", "floppy"])
async def test_an_enclave_s_result_in_another_storage_has_no_link(
    upload: Upload, task: Task, provider: str
) -> None:
    task.describe_as(description(tag=SCONE, params=DealParams(storage_provider=provider)))
    with pytest.raises(StageFailed) as caught:
        await upload(task)
    assert caught.value.cause is Cause.RESULT_LINK_MISSING


async def test_a_result_that_shows_some_blocks_later_is_waited_for(
    upload: Upload, proxy: FakeProxy, chain: FakeChain, task: Task
) -> None:
    task.describe_as(description(tag=SCONE))
    proxy.hash = None

    def stored() -> None:
        proxy.hash = "QmLate" if chain.head == 103 else None

    chain.on_block = stored
    assert "QmLate" in ((await upload(task)).result_link or "")


async def test_a_result_that_is_nowhere_has_no_link(
    upload: Upload, proxy: FakeProxy, chain: FakeChain, task: Task
) -> None:
    task.describe_as(description(tag=SCONE))
    proxy.hash = None
    with pytest.raises(StageFailed, match="has no result") as caught:
        await upload(task)
    assert (caught.value.cause, chain.head) == (Cause.RESULT_LINK_MISSING, 100 + TRIES - 1)


async def test_while_the_proxy_is_away_it_is_told_what_is_missing(
    upload: Upload, proxy: FakeProxy, task: Task
) -> None:
    task.describe_as(description(tag=SCONE))
    proxy.hash = Unavailable("away")
    with pytest.raises(Unserved) as caught:
        await upload(task)
    assert caught.value.cause is Cause.RESULT_LINK_MISSING
