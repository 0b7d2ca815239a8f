from __future__ import annotations

from pathlib import Path

import pytest

from iexec_worker.devpool.demo.options import DemoOptions, workers_for
from iexec_worker.devpool.demo.scene import tagged, untied


def agree(workers: int, trust: int) -> bool:
    """The contracts' condition, with the weight 2 of a newcomer."""
    group = 1 << workers
    return group * trust > (1 + group) * (trust - 1)


def test_the_fewest_workers_that_can_agree_are_asked_for() -> None:
    for trust in range(1, 70):
        needed = workers_for(trust)

        assert agree(needed, trust), trust
        assert needed == 1 or not agree(needed - 1, trust), trust


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("app", "app:latest"),
        ("me/app:1", "me/app:1"),
        ("host:5000/app", "host:5000/app:latest"),
        ("app@sha256:" + "ab" * 32, "app@sha256:" + "ab" * 32),
    ],
)
def test_an_image_gets_the_tag_that_the_chain_needs(image: str, named: str) -> None:
    assert tagged(image) == named


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("app:1", "app:1"),
        ("host:5000/me/app:1", "host-5000/me/app:1"),
        ("me/app@sha256:" + "ab" * 32, "me/app:" + "ab" * 16),
    ],
)
def test_a_local_image_can_be_named_anew(image: str, name: str) -> None:
    assert untied(image) == name


def test_the_demos_own_app_is_told_something_and_others_only_what_is_said() -> None:
    here = Path()

    assert "sleep=" in DemoOptions(here, here).app_args
    assert "callback=0x" in DemoOptions(here, here, callback=True).app_args
    assert DemoOptions(here, here, image="mine").app_args == ""
    assert DemoOptions(here, here, args="x").app_args == "x"
