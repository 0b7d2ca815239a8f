from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iexec_worker.model import TeeFramework
from iexec_worker.tee.sms_book import SmsBook

if TYPE_CHECKING:
    from pathlib import Path

SCONE, TDX = TeeFramework.SCONE, TeeFramework.TDX


async def test_another_life_knows_where_the_sms_of_a_framework_was_last(tmp_path: Path) -> None:
    path = tmp_path / "base" / "w.sms.json"
    book = SmsBook(path)
    assert await book.find(SCONE) is None
    await book.remember(SCONE, "http://old")
    await book.remember(TDX, "http://tdx")
    await book.remember(SCONE, "http://new")

    later = SmsBook(path)
    assert (await later.find(SCONE), await later.find(TDX)) == ("http://new", "http://tdx")


@pytest.mark.parametrize("content", ["", "[]", "{", '"a"', 100_000 * "["])
async def test_a_file_that_is_none_of_ours_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.sms.json"
    path.write_text(content)
    book = SmsBook(path)
    assert await book.find(SCONE) is None
    await book.remember(SCONE, "http://sms")
    assert await book.find(SCONE) == "http://sms"


async def test_a_file_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "w.sms.json"
    path.mkdir()
    await SmsBook(path).remember(SCONE, "http://sms")
    assert await SmsBook(path).find(SCONE) is None
