"""What a manifest says, and what a registry that lies may make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.engine.images import manifest
from iexec_worker.engine.images.manifest import Platform

HERE = Platform("linux", "amd64")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=10,
)


def entry(digest: str, os: str, architecture: str) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": os, "architecture": architecture}}


@pytest.mark.parametrize(
    ("os", "architecture", "runs"),
    [
        ("linux", "amd64", True),
        ("linux", "386", True),
        ("linux", "arm64", False),
        ("windows", "amd64", False),
        ("", "", True),
        ("unknown", "unknown", True),
    ],
)
def test_an_engine_runs_its_own_platform_and_what_its_processor_runs_too(
    os: str, architecture: str, runs: bool
) -> None:
    assert HERE.runs(Platform(os, architecture)) is runs


def test_an_index_gives_the_engines_own_platform_before_one_that_runs_as_well() -> None:
    index = {"manifests": [entry("a", "linux", "386"), entry("b", "linux", "amd64")]}

    assert manifest.chosen(index, HERE) == "b"
    assert manifest.chosen({"manifests": index["manifests"][:1]}, HERE) == "a"
    assert manifest.chosen({"manifests": [entry("c", "linux", "arm64")]}, HERE) is None


def test_the_size_is_that_of_layers_and_configuration() -> None:
    assert manifest.size({"config": {"size": 1}, "layers": [{"size": 20}, {"size": 300}]}) == 321


def test_negative_sizes_take_nothing_away() -> None:
    assert manifest.size({"layers": [{"size": 20}, {"size": -(10**18)}]}) == 20


def test_a_manifest_of_the_first_version_says_no_size() -> None:
    assert manifest.size({"fsLayers": [{"blobSum": "sha256:1"}]}) is None


@given(JSON)
def test_nothing_that_a_registry_sends_breaks_the_reading(value: object) -> None:
    for answer in (
        {"layers": value, "config": value, "manifests": value},
        {"manifests": [{"digest": value, "platform": value}], "layers": [{"size": value}]},
    ):
        manifest.size(answer)
        manifest.chosen(answer, HERE)
    manifest.read_platform(value)
