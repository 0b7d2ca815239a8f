from __future__ import annotations

import pytest

from iexec_worker.devpool.chain.tags import framework_of, numbers, tag_of
from iexec_worker.model import TeeFramework


def test_tags_are_those_of_the_market() -> None:
    tags = {framework.name: tag_of(framework) for framework in TeeFramework}

    assert tags == {
        "SCONE": "0x" + 62 * "0" + "03",
        "GRAMINE": "0x" + 62 * "0" + "05",
        "TDX": "0x" + 62 * "0" + "09",
    }


@pytest.mark.parametrize("framework", TeeFramework)
def test_a_tag_is_read_as_it_was_made(framework: TeeFramework) -> None:
    assert framework_of(tag_of(framework), (9, 3, 0)) is framework


def test_snapshots_have_numbers_too() -> None:
    assert numbers("9.3.0-NEXT-SNAPSHOT") == (9, 3, 0)
