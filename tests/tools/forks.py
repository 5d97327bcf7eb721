"""Runs programs, each in a fork of this process, which has imported the libraries once for all.

A fork is a process of its own, with flags, files and an exit status of its own; but it has nothing
to wait for. Each line of standard input is a JSON object: `program` (a file), `flags`, `cwd`, and
the files that take `stdout` and `stderr`. Each line of standard output answers with an exit status.
"""

import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

# Keras comes first: tfmeta then loads all that is public.
import keras  # noqa: F401 isort: skip
import tfmeta  # noqa: F401

SECONDS = 240


def run(program: str, flags: list[str]) -> int:
    """The exit status of a program that ends by itself."""
    sys.argv = [program, *flags]
    sys.path.insert(0, str(Path(program).parent))
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def in_a_fork(program: str, flags: list[str], cwd: str, stdout: str, stderr: str) -> int:
    """The same in a fork; negative where a signal ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(SECONDS)
    for path, stream in ((os.devnull, 0), (stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)
    os.chdir(cwd)
    status = run(program, flags)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


for line in sys.stdin:
    print(in_a_fork(**json.loads(line)), flush=True)
