"""How a program on several ranks ends: one rank speaks, and all of them end."""

import os
import sys
import threading
import traceback
from types import TracebackType

from tfmeta.distributed.agreement import explained
from tfmeta.environment.launch import wait_to_speak
from tfmeta.errors import ArgumentError, NonFiniteError, RanksError

# What Python may take to end, once the last words have been spoken.
_SECONDS_TO_END = 10.0


def speak_once() -> None:
    """From now on one rank tells of an exception that nobody catches, and no rank stays behind.

    What the library says of arguments or ranks is one sentence, any other exception comes with its
    traceback. Rank 0 speaks at once; another rank gives it time to do so first. The process then
    ends as Python does, or, where Horovod keeps it from ending, without further ado.
    """
    usual = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        error = explained(error, "something else") or error
        wait_to_speak(getattr(error, "of_another", False))
        sys.stdout.flush()
        if isinstance(error, ArgumentError | NonFiniteError | RanksError):
            print(f"{_place(trace)}{error}", file=sys.stderr, flush=True)
        else:
            usual(kind, error, trace)
        end = threading.Timer(_SECONDS_TO_END, os._exit, [1])
        end.daemon = True
        end.start()

    sys.excepthook = tell


def _place(trace: TracebackType | None) -> str:
    """The line of the program that was started, of its last call from there."""
    lines = traceback.extract_tb(trace)
    *_, line = [None, *(line for line in lines if line.filename == lines[0].filename)]
    return f"{line.filename}, line {line.lineno}: " if line else ""
