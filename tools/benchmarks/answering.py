"""The side of a worker that is asked. Nothing here needs more than the standard library.

The program listens on a Unix socket, whose path is the worker's only argument, and every process of
the worker (one, or each rank) connects to it. It first says its rank. From then on it reads
requests and writes replies, each one line of JSON, until the program closes the socket. Between
requests it waits without using a core. Arrays travel as files.
"""

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def serve(implementation: Callable[..., Any], versions: Mapping[str, str]) -> None:
    """Answers requests until the program has no more.

    The first request is {"command": "build", ...} and makes the object to measure. Another command
    is a method of that object, or "memory". The other fields of a request are keyword arguments.
    The reply is the dictionary that the method returns, or {"error": traceback}. On several ranks
    every rank gets every request, so a method may call collectives; the program is told the reply
    of rank 0.

    Args:
        implementation: Makes the object.
        versions: What is measured, for the reply to "build".
    """
    loaded = peak_memory_mb()
    built: Any = None
    reply: dict[str, Any]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        lines = connection.makefile("rw")
        _write(lines, {"rank": int(os.environ.get("HOROVOD_RANK", 0))})
        for line in lines:
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
            _write(lines, reply)


def _write(lines: Any, message: Mapping[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


def peak_memory_mb() -> float:
    """The most memory that this process has held at once, in MiB.

    Read from Linux's own count: `getrusage` would count what the parent held when it started us.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
