"""Causes that a pool does not know: told by a name that it does."""

from __future__ import annotations

import pytest

from iexec_worker.devpool.scheduler.causes import known
from iexec_worker.scheduler.causes import in_other_words
from iexec_worker.wire import Cause


@pytest.mark.parametrize("major", [8, 9])
def test_every_cause_comes_to_one_that_the_pool_takes(major: int) -> None:
    for cause in Cause:
        tries = [cause]
        while not known(tries[-1], major):
            other = in_other_words(tries[-1])
            assert other is not None, cause
            tries.append(other)
        assert len(set(tries)) == len(tries) <= 3, cause


def test_a_pool_that_takes_none_is_left_in_the_end() -> None:
    for cause in Cause:
        tries: list[Cause | None] = [cause]
        while tries[-1] is not None:
            tries.append(in_other_words(tries[-1]))
        assert tries[-2] is Cause.UNKNOWN, cause
        assert len(tries) <= 5, cause


@pytest.mark.parametrize(
    ("cause", "other"),
    [
        ("TEE_NOT_SUPPORTED", "UNKNOWN"),
        ("PRE_COMPUTE_WORKER_ADDRESS_MISSING", "PRE_COMPUTE_FAILED_UNKNOWN_ISSUE"),
        ("PRE_COMPUTE_FAILED_UNKNOWN_ISSUE", "UNKNOWN"),
        (
            "TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE",
            "TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE",
        ),
        (
            "TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_EMPTY_TEE_CHALLENGE",
            "TEE_SESSION_GENERATION_UNKNOWN_ISSUE",
        ),
        (
            "TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_PROVIDER",
            "TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_FRAMEWORK",
        ),
    ],
)
def test_the_nearest_name_is_used(cause: str, other: str) -> None:
    assert in_other_words(Cause(cause)) is Cause(other)
