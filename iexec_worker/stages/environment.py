"""What a standard app finds in its environment; a trusted app gets the same from its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.inputs.files import input_file_name

if TYPE_CHECKING:
    from iexec_worker.model import TaskDescription

IN: Final = "/iexec_in"
OUT: Final = "/iexec_out"


def app_environment(task: TaskDescription) -> dict[str, str]:
    """Return the variables of the app's container, exactly those of the Java worker."""
    urls = task.params.input_files
    env = {
        "IEXEC_TASK_ID": task.chain_task_id,
        "IEXEC_DEAL_ID": task.deal_id,
        "IEXEC_TASK_INDEX": str(task.index),
        "IEXEC_IN": IN,
        "IEXEC_OUT": OUT,
        "IEXEC_BOT_SIZE": str(task.bot_size),
        "IEXEC_BOT_FIRST_INDEX": str(task.bot_first),
        "IEXEC_BOT_TASK_INDEX": str(task.index),
        "IEXEC_DATASET_ADDRESS": task.dataset_address,
        "IEXEC_DATASET_FILENAME": task.dataset_address,
        "IEXEC_INPUT_FILES_NUMBER": str(len(urls)),
    }
    if urls:
        env["IEXEC_INPUT_FILES_FOLDER"] = IN
        for number, url in enumerate(urls, 1):
            env[f"IEXEC_INPUT_FILE_NAME_{number}"] = input_file_name(url)
    return env
