"""In a process of its own: what is at stake is that process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import eth_account
from iexec_worker.chain.params import parse_deal_params
from iexec_worker.chain import wallet
text = '{"a":' * 200_000
assert parse_deal_params(text).args == text
"""


@pytest.mark.slow
def test_brackets_in_a_deal_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")
