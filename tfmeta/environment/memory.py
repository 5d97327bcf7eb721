"""How much memory is left, to say beforehand what will not fit."""

import contextlib
import os
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
# The limit, what is used of it, and which part of that the kernel gives back: versions 2 and 1.
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def available() -> int:
    """The bytes that this process may still take of the machine's memory, or of its container's.

    Where the system does not tell what is free, all that the machine has.
    """
    left = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError):
        # What is free is not all: files that are held in memory give way.
        left.append(1024 * _number("MemAvailable:", Path("/proc/meminfo")))
    for limit, used, statistics, given_back in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such group; no limit: "max"
            left.append(
                int((_CONTROL_GROUPS / limit).read_text())
                - int((_CONTROL_GROUPS / used).read_text())
                + _number(given_back, _CONTROL_GROUPS / statistics)
            )
    return min(left)


def _number(name: str, table: Path) -> int:
    """The number that follows a name in a file of lines "name number"."""
    rows = (line.split() for line in table.read_text().splitlines())
    return next((int(row[1]) for row in rows if row and row[0] == name), 0)


def readable(size: int) -> str:
    """A number of bytes as one reads it, such as `3.2 GB`."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
