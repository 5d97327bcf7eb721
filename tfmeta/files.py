"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from tfmeta.errors import ArgumentError


def write_whole(path: Path, text: str) -> None:
    """Writes a file under a temporary name, then renames it.

    Names of files that are no UTF-8 are written as they are.
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.write_text(text, encoding="utf-8", errors="surrogateescape")
    os.replace(unfinished, path)


def check_writable(argument: str, folder: Path) -> None:
    """Refuses a folder in which no file can be made, before there is something to write.

    Raises:
        ArgumentError: naming `argument`.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArgumentError(
            argument, folder, f"cannot be written to ({error.strerror}); give a folder that can."
        ) from error
