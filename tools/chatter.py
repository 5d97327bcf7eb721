"""What TensorFlow, CUDA and Horovod write on standard error by themselves: shown if a run fails.

They write to its file descriptor, some before any log level applies. A process of its own keeps all
of it, so that it is there even where the interpreter itself dies.
"""

import contextlib
import faulthandler
import os
import select
import signal
import sys
import tempfile
from typing import IO, NamedTuple

_CRASHED = b"Fatal Python error"
_SHOW = b"s"


class _Keeper(NamedTuple):
    """The process that keeps the chatter, and where it is told to show it."""

    process: int
    told: int


_keeper: _Keeper | None = None


def keep() -> None:
    """From now on file descriptor 2 leads to the keeper; `sys.stderr` still shows what it is given.

    To be called before TensorFlow is imported, once.
    """
    global _keeper
    shown = os.dup(2)
    chatter, writes = os.pipe()
    tells, told = os.pipe()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.close(writes)
        os.close(told)
        os._exit(_keep(chatter, tells, shown))
    os.close(chatter)
    os.close(tells)
    os.dup2(writes, 2)
    os.close(writes)
    sys.stderr = os.fdopen(shown, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    faulthandler.enable(2)  # where there is a crash, it says so among the chatter
    _keeper = _Keeper(process, told)


def show() -> None:
    """Shows on standard error what has been kept, and goes on without keeping more."""
    global _keeper
    if _keeper is None:
        return
    os.write(_keeper.told, _SHOW)
    faulthandler.disable()
    os.dup2(sys.stderr.fileno(), 2)
    os.waitpid(_keeper.process, 0)
    _keeper = None


def _keep(chatter: int, tells: int, shown: int) -> int:
    """The keeper's work, until it is told to show what it has, or the other process ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # nobody is to wait for the end of these
        os.dup2(nothing, stream)
    os.set_blocking(chatter, False)
    with tempfile.TemporaryFile() as kept:
        while tells not in select.select([chatter, tells], [], [])[0]:
            _move(chatter, kept)
        _move(chatter, kept)
        kept.seek(0)
        everything = kept.read()
    if os.read(tells, 1) == _SHOW or _CRASHED in everything:
        while everything:
            everything = everything[os.write(shown, everything) :]
    return 0


def _move(chatter: int, kept: IO[bytes]) -> None:
    """Keeps what there is."""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(chatter, 1 << 16):
            kept.write(part)
