from __future__ import annotations

import pytest

from iexec_worker.devpool.scheduler import causes
from iexec_worker.wire import Cause


def test_a_cause_is_named_as_it_travels() -> None:
    assert [cause.value for cause in Cause] == [cause.name for cause in Cause]


def test_every_cause_is_known_to_pools_of_some_age() -> None:
    assert [c for c in Cause if not (causes.known(c, 8) or causes.known(c, 9))] == []


@pytest.mark.parametrize("major", [8, 9])
def test_no_cause_of_a_pool_is_unknown_here(major: int) -> None:
    others = causes._SINCE_9 if major == 9 else causes._UNTIL_8
    assert {name for name in causes.COMMON | others if name not in set(Cause)} == set()
