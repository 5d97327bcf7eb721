"""One job trains in a folder at a time."""

import datetime
import errno
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

from tfmeta.errors import ArgumentError

_TAKEN = (errno.EACCES, errno.EAGAIN)


def take(path: Path) -> TextIO:
    """Locks a file for this process, which then `sign`s it.

    The lock is the operating system's: it ends with the process, however that ends, and with the
    machine. So the file may stay. Network file systems carry such locks from host to host; where
    one knows none, that is said on standard error.

    Args:
        path: of the file, in the folder of a run; made if need be.

    Returns:
        The file. The lock ends when it is closed.

    Raises:
        ArgumentError: another process has it; names process and host.
        OSError: the file cannot be written.
    """
    file = path.open("a+", encoding="utf-8", errors="replace")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise ArgumentError(
                "output_dir",
                path.parent,
                f"{holder}, trains there; wait until it ends, or give another folder.",
            ) from None
        print(
            f"{path.parent}: its file system knows no locks ({error.strerror}); see to it that no "
            "other job trains there.",
            file=sys.stderr,
        )
    return file


def sign(file: TextIO) -> None:
    """Writes into a locked file who has locked it."""
    file.truncate(0)
    now = datetime.datetime.now().astimezone()
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M:%S %z}")
    file.flush()
