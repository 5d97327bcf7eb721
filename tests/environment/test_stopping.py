"""A signal ends a process at once, or when what it does has come to an end."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, os, signal, sys, time
# What a shell starts in the background inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tfmeta.environment import stopping

def end(number, given_up):
    print(number.name, given_up, flush=True)
    os._exit(5)

stopping._SECONDS_TO_END = 0.5
stopping.listen(end)
{doing}
print("not reached", flush=True)
"""
READY = "print('ready', flush=True)\n"
# Python calls no handler while the main thread is in there.
IN_A_LIBRARY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 200_000_000)"
WAITING = "while not stopping.requested(): time.sleep(0.01)\n"


def said(doing, number):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(doing=doing)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    text = process.stdout.read()
    assert process.wait() == 5
    return text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_also_within_a_library(number):
    assert said(READY + IN_A_LIBRARY, number) == f"{number.name} False\n"


def test_what_is_held_comes_to_an_end():
    doing = f"stopping.hold()\n{READY}{WAITING}print('done', flush=True)\nstopping.release()"
    assert said(doing, signal.SIGTERM) == "done\nSIGTERM False\n"


def test_what_is_held_too_long_is_given_up():
    assert said(f"stopping.hold()\n{READY}{IN_A_LIBRARY}", signal.SIGTERM) == "SIGTERM True\n"


def test_others_are_told_at_once_and_forks_take_signals_as_usual():
    doing = (
        "child = os.fork()\n"
        "if not child: time.sleep(60)\n"
        "os.kill(child, 15)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), stopping.requested())\n"
        "stopping.hold()\n"
        "stopping.when_requested(lambda: print('told', flush=True))\n"
        f"{READY}{WAITING}stopping.release()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(doing=doing)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "-15 None\n"
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "told\nSIGTERM False\n"
