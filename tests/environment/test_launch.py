"""A rank outlives what a launcher does to the processes that it has started."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from tfmeta.environment.launch import outlive_launcher

outlive_launcher()
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
print("ready", flush=True)
while not asked:
    if len(sys.argv) > 1:
        os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "kill" else sys.exit(7)
    time.sleep(0.01)
time.sleep(1)
print("done", flush=True)
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def started(command):
    ranks = {"HOROVOD_RANK": "0", "HOROVOD_SIZE": "2"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ranks})


@pytest.mark.parametrize("shell", ["replaces itself", "waits"])
def test_a_rank_that_horovodrun_ends_finishes_what_it_does(shell):
    """Shells differ in whether the command that horovodrun gives them becomes their process."""
    execution = pytest.importorskip("horovod.runner.common.util.safe_shell_exec")
    command = COMMAND if shell == "replaces itself" else ["sh", "-c", '"$@"; exit $?', "", *COMMAND]
    process = started(command)
    assert process.stdout.readline() == "ready\n"
    execution.terminate_executor_shell_and_children(process.pid)
    assert process.stdout.read() == "done\n"  # up to the end of the last process that writes
    process.wait()


@pytest.mark.parametrize(("end", "status"), [("exit", 7), ("kill", 128 + signal.SIGKILL)])
def test_its_exit_status_is_that_of_the_process_that_was_started(end, status):
    process = started([*COMMAND, end])
    assert process.stdout.read() == "ready\n"
    assert process.wait() == status
