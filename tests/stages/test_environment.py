"""The environment of a standard app, whole: a variable too many is another digest."""

from __future__ import annotations

from typing import Final

import pytest

from iexec_worker.model import ZERO_ADDRESS, DealParams, TaskDescription
from iexec_worker.stages.environment import app_environment
from tests import samples
from tests.samples import TASK

DEAL: Final = "0x" + 64 * "d"
DATASET: Final = "0x" + 40 * "e"
URLS: Final = ("https://files.example/one", "https://files.example/two?é")

#: By `sha256sum`.
NAMES: Final = (
    "0x1b303ea5365d2ba03d77195fbde95fbdb63de9585d67f8a691231d35ed6d15fe",
    "0x5b2f4ebb7bf0e66b6156ab0f27e9fc9f965f231857965af2a2ef8f3c32c10af1",
)


def described(dataset: str, urls: tuple[str, ...]) -> TaskDescription:
    """The third task of a deal whose tasks begin at 40: no two of its numbers are the same."""
    return samples.description(
        deal_id=DEAL,
        index=42,
        bot_first=40,
        bot_size=5,
        dataset_address=dataset,
        dataset_name="a name that nobody is told",
        params=DealParams(args="words", input_files=urls, secrets={"1": "never to be seen"}),
    )


@pytest.mark.parametrize("dataset", [ZERO_ADDRESS, DATASET], ids=["no dataset", "dataset"])
def test_without_input_files_there_are_eleven_variables(dataset: str) -> None:
    assert app_environment(described(dataset, ())) == {
        "IEXEC_TASK_ID": TASK,
        "IEXEC_DEAL_ID": DEAL,
        "IEXEC_TASK_INDEX": "42",
        "IEXEC_IN": "/iexec_in",
        "IEXEC_OUT": "/iexec_out",
        "IEXEC_BOT_SIZE": "5",
        "IEXEC_BOT_FIRST_INDEX": "40",
        "IEXEC_BOT_TASK_INDEX": "42",
        "IEXEC_DATASET_ADDRESS": dataset,
        "IEXEC_DATASET_FILENAME": dataset,
        "IEXEC_INPUT_FILES_NUMBER": "0",
    }


@pytest.mark.parametrize("dataset", [ZERO_ADDRESS, DATASET], ids=["no dataset", "dataset"])
def test_input_files_have_a_folder_and_a_name_each(dataset: str) -> None:
    assert app_environment(described(dataset, URLS)) == {
        **app_environment(described(dataset, ())),
        "IEXEC_INPUT_FILES_NUMBER": "2",
        "IEXEC_INPUT_FILES_FOLDER": "/iexec_in",
        "IEXEC_INPUT_FILE_NAME_1": NAMES[0],
        "IEXEC_INPUT_FILE_NAME_2": NAMES[1],
    }
