"""Which worker versions of a pool are taken for ours."""

from __future__ import annotations

import pytest

from iexec_worker.errors import Fatal
from iexec_worker.membership.join import check_version


@pytest.mark.parametrize("required", ["", "  ", "8.6.0", "v8.7.1", "9.0.0", "9.2.0", "9.2.1-rc"])
def test_a_protocol_version_of_ours_is_accepted(required: str) -> None:
    check_version(required)


@pytest.mark.parametrize("required", ["8.5.0", "9.3.0", "10.0.0", "7", "latest", "x8.6.0"])
def test_another_version_is_refused_with_both_named(required: str) -> None:
    with pytest.raises(Fatal, match=f"{required}.*8.6 to 9.2"):
        check_version(required)
