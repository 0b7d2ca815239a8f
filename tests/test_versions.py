from __future__ import annotations

import pytest

from iexec_worker.versions import enclaves_sign, is_spoken, parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("9.1.0", (9, 1)),
        (" v8.6", (8, 6)),
        ("8.7.1-SNAPSHOT", (8, 7)),
        ("80.1", (80, 1)),
        ("9", None),
        ("", None),
        ("latest", None),
    ],
)
def test_a_version_is_its_first_two_numbers(text: str, version: tuple[int, int] | None) -> None:
    assert parse(text) == version


def test_what_is_spoken_has_two_ends() -> None:
    spoken = [is_spoken(v) for v in ((8, 5), (8, 6), (9, 2), (9, 3), None)]
    assert spoken == [False, True, True, False, False]


def test_only_enclaves_of_pools_of_8_do_not_sign() -> None:
    assert [enclaves_sign(v) for v in ("8.6.0", "8.9", "9.0.0", "80.1", "7.9", "")] == [
        *(False, False),
        *(True, True, True, True),
    ]
