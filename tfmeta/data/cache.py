"""Decoded images kept in files, which later runs map into memory instead of decoding again."""

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfmeta.errors import ArgumentError

# Counts the changes in how images are decoded: what was decoded otherwise is not found any more.
_DECODING = 1


def kept(folder: str, key: Any, write: Callable[[IO[bytes]], object]) -> np.ndarray:
    """Maps the array that is kept under a key, after writing it if there is none.

    It is one `.npy` file, written under a temporary name and then renamed, so that it is there
    whole or not at all. Processes that want the same array at the same time wait for the one that
    writes it.

    Args:
        folder: where the files are; made where it is missing.
        key: what the array is made from and how, of what JSON can hold.
        write: writes an `.npy` file into an empty file.

    Returns:
        The array, read-only, of which the system holds in memory what is used.

    Raises:
        ArgumentError: naming `cache_dir`, if the folder cannot be written to.
    """
    text = json.dumps([_DECODING, key], ensure_ascii=True)
    path = Path(folder) / f"images-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            array = _mapped(path)
            if array is None:
                _write(path, write)
                array = _mapped(path)
    except OSError as error:
        raise ArgumentError(
            "cache_dir",
            folder,
            f"the decoded images cannot be kept there ({error.strerror or error}); give a folder "
            "that can be written to, on a disk with room for them.",
        ) from None
    assert array is not None
    return array


def identities(paths: Iterable[str]) -> list[tuple[str, int, int]]:
    """What tells whether files are the same as before: where they are, their sizes and times."""
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:  # there is no file, which whoever reads it has to tell
            continue
        found.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
    return found


def _mapped(path: Path) -> np.ndarray | None:
    """The array in a file; None if there is none, or one that is no array of images."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    if array.dtype != np.uint8 or array.ndim != 4:
        return None
    # Tasks take images from all over it: the system is not to read what lies beside them, too.
    array.base.madvise(mmap.MADV_RANDOM)
    return array


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, unfinished = tempfile.mkstemp(prefix=".unfinished-", suffix=".npy", dir=path.parent)
    try:
        with os.fdopen(handle, "r+b") as file:
            write(file)
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock that the system takes back when the process ends, however it ends."""
    with open(path, "wb") as file:
        # Some network file systems know no locks. Then several processes may do the same work.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
