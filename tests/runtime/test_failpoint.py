"""A failpoint ends or freezes the process at its pass, and is nothing otherwise."""

import os
import signal
import subprocess
import sys

import pytest

from stream.runtime.failpoint import EXIT_CODE, VARIABLE
from tests.rig.processes import REPOSITORY

PASSES = """
from stream.runtime.failpoint import passing
for number in range(3):
    passing("here")
    passing("elsewhere")
    print(number, flush=True)
"""


def passed(armed):
    environment = os.environ | ({VARIABLE: armed} if armed else {})
    return subprocess.Popen(
        [sys.executable, "-c", PASSES],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("armed", "printed", "code"),
    [
        (None, "0\n1\n2\n", 0),
        ("nowhere", "0\n1\n2\n", 0),
        ("here", "", EXIT_CODE),
        ("here:3", "0\n1\n", EXIT_CODE),
        ("here:4", "0\n1\n2\n", 0),
    ],
)
def test_the_process_ends_at_the_pass_that_is_armed_and_at_no_other(armed, printed, code):
    process = passed(armed)
    assert process.communicate(timeout=30)[0] == printed
    assert process.returncode == code


def test_a_frozen_process_goes_on_where_it_was():
    process = passed("here:2:stop")
    assert os.waitid(os.P_PID, process.pid, os.WSTOPPED).si_status == signal.SIGSTOP
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=30)[0] == "0\n1\n2\n"
