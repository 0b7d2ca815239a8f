from __future__ import annotations

import pytest

from iexec_worker.engine.images.local import pull_limit
from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.errors import Rejected

DIGEST = "sha256:" + 64 * "a"


@pytest.mark.parametrize(
    ("image", "registry", "version"),
    [
        ("busybox:1", "docker.io", "1"),
        ("iexechub/python-hello-world:8.0.0", "docker.io", "8.0.0"),
        ("docker.io/iexechub/app:1", "docker.io", "1"),
        ("index.docker.io/iexechub/app:1", "docker.io", "1"),
        ("localhost/app:1", "localhost", "1"),
        ("localhost:5000/a/b/c:1", "localhost:5000", "1"),
        ("[::1]:5000/a:1", "[::1]:5000", "1"),
        ("reg.example.org/app:1_x-2.B", "reg.example.org", "1_x-2.B"),
        ("app@" + DIGEST, "docker.io", DIGEST),
        ("reg.example.org:5000/app:1@" + DIGEST, "reg.example.org:5000", DIGEST),
    ],
)
def test_a_name_says_its_registry_and_version(image: str, registry: str, version: str) -> None:
    reference = parse_reference(image)

    assert (reference.registry, reference.version) == (registry, version)


@pytest.mark.parametrize("image", ["busybox", "localhost:5000/app", "reg.example.org/a/b"])
def test_a_name_without_tag_is_refused(image: str) -> None:
    with pytest.raises(Rejected, match="no tag"):
        parse_reference(image)


@pytest.mark.parametrize(
    "image",
    [
        "",
        ":1",
        "App:1",
        "a b:1",
        "app:",
        "app:1:2",
        "app@",
        "app@sha256:1",
        "reg.org/:1",
        "-a:1",
        "a b.c/d:1",
        "\n./d:1",
    ],
)
def test_what_is_no_name_is_refused(image: str) -> None:
    with pytest.raises(Rejected, match="not a valid name"):
        parse_reference(image)


def test_with_a_digest_the_tag_does_not_count() -> None:
    assert str(parse_reference(f"app:1@{DIGEST}")) == f"app@{DIGEST}"


@pytest.mark.parametrize(
    ("time_reference", "minutes"),
    [(300, 7), (1_200, 13), (3_600, 18), (10_800, 23), (36_000, 28)],
    ids=["XS", "S", "M", "L", "XL"],
)
def test_the_pull_limit_follows_the_category(time_reference: float, minutes: float) -> None:
    assert pull_limit(time_reference, 0, 3_600) == minutes * 60


@pytest.mark.parametrize(
    ("time_reference", "minimum", "maximum", "limit"),
    [
        (300, 600, 1_800, 600),
        (36_000, 300, 1_200, 1_200),
        (10, 300, 1_800, 300),
        (60, 300, 1_800, 300),
        (300, 2, 5, 5),
        (1, 0.5, 5, 0.5),
    ],
)
def test_the_pull_limit_stays_within_bounds(
    time_reference: float, minimum: float, maximum: float, limit: float
) -> None:
    assert pull_limit(time_reference, minimum, maximum) == limit
