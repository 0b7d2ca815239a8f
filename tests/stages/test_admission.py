"""Whom and what an operator allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.errors import StageFailed
from iexec_worker.stages.admission import Admission
from iexec_worker.wire import Cause
from tests.samples import description
from tests.stages.conftest import start_of

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task

APP, REQUESTER = "0x" + 40 * "a", "0x" + 40 * "b"


def test_nothing_is_refused_when_nothing_is_listed() -> None:
    assert Admission().refusal(description()) == ""


@pytest.mark.parametrize(
    ("image", "place", "allowed"),
    [
        ("alice/app:1", "docker.io", True),
        ("busybox:1", "docker.io/library", True),
        ("docker.io/alice/app:1", "docker.io/alice", True),
        ("index.docker.io/alice/app:1", "docker.io/alice", True),
        ("alice/app:1", "docker.io/alice/app", True),
        ("alice/app2:1", "docker.io/alice/app", False),
        ("alicia/app:1", "docker.io/alice", False),
        ("docker.io.evil.example/alice/app:1", "docker.io", False),
        ("evil.example/docker.io/alice:1", "docker.io", False),
        ("Registry.Example:5000/app:1", "registry.example:5000", True),
        ("registry.example/app:1", "registry.example:5000", False),
        ("not a name", "docker.io", False),
    ],
)
def test_an_image_is_taken_from_listed_places_only(image: str, place: str, allowed: bool) -> None:
    refusal = Admission(registries=(place,)).refusal(description(app_uri=image))

    assert (refusal == "") is allowed
    assert allowed or refusal == f"image {image!r} is from none of IEXEC_WORKER_ALLOWED_REGISTRIES"


def test_apps_and_requesters_are_compared_in_any_case() -> None:
    task = description(app_address="0x" + 40 * "A", requester="0x" + 40 * "B")

    assert Admission(apps=(APP,), requesters=(REQUESTER,)).refusal(task) == ""
    assert "is not in IEXEC_WORKER_ALLOWED_APPS" in Admission(apps=(REQUESTER,)).refusal(task)
    assert "is not in IEXEC_WORKER_ALLOWED_REQ" in Admission(requesters=(APP,)).refusal(task)


async def test_a_task_that_is_not_allowed_is_not_begun(
    conditions: Conditions, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authorized(_conditions: Conditions, _task: Task) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(type(conditions), "authorized", authorized)
    with pytest.raises(StageFailed) as caught:
        await start_of(conditions, Admission(requesters=(APP,)))(task)

    assert caught.value.cause is Cause.ABORTED_BY_WORKER
    assert "IEXEC_WORKER_ALLOWED_REQUESTERS" in caught.value.message
