from __future__ import annotations

from typing import Any

import pytest

from iexec_worker.engine.images.progress import Layers, PullProgress


def message(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": layer, "status": status, "progressDetail": detail}


def test_bytes_are_summed_over_layers() -> None:
    layers = Layers()

    layers.hear(message("a", "Downloading", 10, 100))
    layers.hear(message("b", "Downloading", 20, 50))
    assert layers.progress == PullProgress(30, 150)

    layers.hear(message("a", "Download complete"))
    layers.hear(message("b", "Downloading", 30, 50))
    layers.hear(message("a", "Extracting", 5, 100))
    assert layers.progress == PullProgress(130, 150)


def test_layers_that_are_here_already_need_no_bytes() -> None:
    layers = Layers()

    assert layers.hear(message("a", "Already exists"))
    assert layers.progress == PullProgress(0, 0)


def test_bytes_and_new_steps_are_movement() -> None:
    layers = Layers()

    assert layers.hear(message("a", "Downloading", 10, 100))
    assert layers.hear(message("a", "Downloading", 20, 100))
    assert layers.hear(message("a", "Verifying Checksum"))


def test_an_engine_that_tries_again_does_not_move() -> None:
    layers = Layers()
    layers.hear(message("a", "Pulling fs layer"))
    layers.hear(message("a", "Downloading", 10, 100))

    again = [
        message("a", "Retrying in 5 seconds"),
        message("a", "Waiting"),
        message("a", "Pulling fs layer"),
        message("a", "Downloading", 0, 100),
        message("a", "Downloading", 0, 100),
    ]
    assert not any(map(layers.hear, again))


def test_messages_without_details_are_taken() -> None:
    layers = Layers()

    for odd in ({}, {"status": "Digest: sha256:aa"}, {"id": "a", "progressDetail": None}):
        layers.hear(odd)

    assert layers.progress == PullProgress(0, 0)


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [
        (0, 0, "0 bytes"),
        (0, 999, "0 % of 999 bytes"),
        (500, 1000, "50 % of 1.0 kB"),
        (4_200_000, 12_345_678, "34 % of 12.3 MB"),
        (12_345_677, 12_345_678, "99 % of 12.3 MB"),
        (5_000_000_000, 5_000_000_000, "100 % of 5.0 GB"),
    ],
)
def test_progress_is_told_as_people_say_it(current: int, total: int, text: str) -> None:
    assert str(PullProgress(current, total)) == text
