"""Runs the Python blocks of pages, those of a page one after the other, and tells what they raised.

    python run_pages.py FOLDER PAGE...

Each page runs in a folder of its own within FOLDER, named after it. Standard output is one JSON
object: the traceback of each page, or null. One process runs all, since it takes seconds to start.
"""

import contextlib
import json
import os
import re
import sys
import traceback
from pathlib import Path


def run(page: Path, folder: Path) -> str | None:
    text = page.read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    folder.mkdir()
    with contextlib.chdir(folder):
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            # Blank lines give the block the line numbers that it has in the page.
            above = text[: match.start(1)].count("\n")
            try:
                exec(compile("\n" * above + match[1], str(page), "exec"), names)
            except BaseException:
                return traceback.format_exc()
    return None


def main() -> None:
    folder, *pages = map(Path, sys.argv[1:])
    results = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        found = {str(page): run(page, folder / page.stem) for page in pages}
    json.dump(found, results)
    results.flush()
    os._exit(0)  # TensorFlow's threads need not be waited for


if __name__ == "__main__":
    main()
