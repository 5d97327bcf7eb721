"""Worker processes that are spoken to line by line, so that two programs can take turns.

A benchmark starts one worker for each implementation, each with the Python of its own
environment. A request is one line of JSON on the worker's standard input, its reply one line on
standard output; arrays travel as files. Between requests a worker waits for input and leaves the
cores to the others. Nothing here needs more than the standard library.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def serve(implementation: Callable[..., Any], versions: Mapping[str, str]) -> None:
    """Answers requests until standard input closes.

    The first one is {"command": "build", ...} and makes the object to be measured; another command
    is a method of that object, or "memory". A request's other fields are keyword arguments, the
    reply is the dictionary that the method returns, or {"error": traceback}.

    Args:
        implementation: makes the object.
        versions: what is measured, for the reply to "build".
    """
    loaded = peak_memory_mb()
    built: Any = None
    reply: dict[str, Any]
    # Libraries print as they please: standard output is kept for replies alone.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        command = request.pop("command")
        try:
            if command == "build":
                built = None  # lets go of the old one before there is a new one
                built = implementation(**request)
                reply = {"versions": dict(versions)}
            elif command == "memory":
                reply = {"loaded_mb": loaded, "peak_mb": peak_memory_mb()}
            else:
                reply = getattr(built, command)(**request)
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)


def peak_memory_mb() -> float:
    """The most memory that this process has held at once, in MiB.

    Read from Linux's own count: `getrusage` would count what the parent held when it started us.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def environment() -> dict[str, str]:
    """This process's environment, where `python -m rivals.NAME` finds this package."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class WorkerError(RuntimeError):
    """A worker failed or ended; the message holds what it said."""


class Worker:
    """A worker process, seen from the program that started it.

    Args:
        python: the Python that runs it.
        name: a module of this package that calls `serve`.

    Raises:
        OSError: there is no such program.
    """

    def __init__(self, python: str, name: str):
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", f"rivals.{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request and waits for its reply.

        Raises:
            WorkerError: the command raised an exception there, or the process has ended.
        """
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.name} ended with status {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.name}: {reply['error']}")
        return reply

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
