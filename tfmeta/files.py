"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a file under a temporary name, then renames it.

    Names of files that are no UTF-8 are written as they are.
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.write_text(text, encoding="utf-8", errors="surrogateescape")
    os.replace(unfinished, path)
