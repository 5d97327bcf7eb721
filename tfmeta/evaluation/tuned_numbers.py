"""Numbers that a search found, kept in a file so that later comparisons need no search."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfmeta import distributed
from tfmeta.checks import is_finite
from tfmeta.errors import ArgumentError
from tfmeta.evaluation.hand_designed import HAND_DESIGNED
from tfmeta.evaluation.tuning import Found
from tfmeta.files import write_whole


class TunedNumbers:
    """What `tune` found, by what it depends on, in a JSON file.

    On several ranks rank 0 alone reads and writes; all ranks get the same.

    Args:
        path: of the file, which need not be there yet. Its folder is made when it is written.

    Raises:
        ArgumentError: the file is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        self._found = distributed.on_main(self._read)

    def get(
        self, settings: Mapping[str, Any], search: Callable[[], dict[str, Found]]
    ) -> dict[str, Found]:
        """What was found with some settings, if need be by a search now.

        Args:
            settings: all that the search depends on, as JSON has it.
            search: makes it.

        Raises:
            ArgumentError: a search is needed, and the file cannot be written.
        """
        key = json.dumps(settings, sort_keys=True)
        if key not in self._found:
            distributed.on_main(self._add)  # nothing, lest the search be made in vain
            self._found[key] = search()
            distributed.on_main(lambda: self._add(key))
        return self._found[key]

    def _add(self, *keys: str) -> None:
        """Adds to what the file holds now: another comparison may have written it too."""
        known = {**self._read(), **{key: self._found[key] for key in keys}}
        try:
            self._write(known)
        except OSError as error:
            raise ArgumentError(
                "rivals",
                self.path,
                f"it cannot be written ({error.strerror}); give a file that can.",
            ) from error

    def _read(self) -> dict[str, dict[str, Found]]:
        if self.path.is_dir():
            raise ArgumentError("rivals", self.path, "it is a folder; give a file.")
        if not self.path.exists():
            return {}
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(rows, list):
                raise ValueError("it holds no list")
            for row in rows:
                if not _of_hand_designed(row["optimizers"]):
                    raise ValueError("it has other optimizers")
            return {
                json.dumps(row["settings"], sort_keys=True): {
                    name: Found(**found) for name, found in row["optimizers"].items()
                }
                for row in rows
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            problem = f"it cannot be read ({error}); remove it."
            raise ArgumentError("rivals", self.path, problem) from error

    def _write(self, known: Mapping[str, dict[str, Found]]) -> None:
        rows = [
            {
                "settings": json.loads(key),
                "optimizers": {name: found._asdict() for name, found in optimizers.items()},
            }
            for key, optimizers in known.items()
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(rows, indent=1) + "\n")


def _of_hand_designed(optimizers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether they are all of `HAND_DESIGNED`, with the numbers of each."""
    return optimizers.keys() == HAND_DESIGNED.keys() and all(
        optimizers[name]["numbers"].keys() == rival.ranges.keys()
        and all(map(is_finite, optimizers[name]["numbers"].values()))
        for name, rival in HAND_DESIGNED.items()
    )
