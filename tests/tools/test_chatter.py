"""What libraries write by themselves on standard error is shown where a program fails."""

import subprocess
import sys

import pytest

CHATTER = "from a library"
SENTENCE = "--seed=7: it will not do; take another."
PROGRAM = f"""
import os, sys, warnings
from tfmeta.errors import ArgumentError
from tfmeta.tools import program

def main():
    os.write(2, b"{CHATTER}" * 100_000 + b"\\n")
    warnings.warn("from Python")
    {{ending}}

program.start(main)
"""


def stderr_of(ending, status):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ending=ending)], capture_output=True, text=True
    )
    assert ended.returncode == status
    return ended.stderr


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("pass", 0),
        ('raise ArgumentError("seed", 7, "it will not do; take another.")', 2),
        ("os.kill(os.getpid(), 9)", -9),
    ],
    ids=["well", "bad input", "killed"],
)
def test_it_is_not_shown(ending, status):
    stderr = stderr_of(ending, status)
    assert CHATTER not in stderr and "from Python" in stderr
    if status == 2:
        assert stderr.endswith(f"\n{SENTENCE}\n")


@pytest.mark.parametrize(
    ("ending", "status", "last"),
    [("1 / 0", 1, "ZeroDivisionError"), ("os.abort()", -6, "Fatal Python error: Aborted")],
    ids=["raised", "crashed"],
)
def test_it_is_shown_in_full_and_first(ending, status, last):
    stderr = stderr_of(ending, status)
    assert stderr.count(CHATTER) == 100_000
    assert stderr.rindex(CHATTER) < stderr.index(last)
