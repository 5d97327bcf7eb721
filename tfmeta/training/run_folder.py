"""The folder that a run leaves: what made it, what happened, and what came out."""

import json
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from tfmeta.errors import ArgumentError
from tfmeta.files import write_whole
from tfmeta.training import folder_lock
from tfmeta.version import VERSION

_MADE_BY = "# tfmeta"


class RunFolder:
    """An output folder; rank 0 alone may write to it.

    docs/runs.md tells what it holds. It can be moved: no path is in it but those of data.

    Args:
        path: the folder; made when the first file is written.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path).expanduser()
        self.flags = self.path / "flags.txt"
        self.metrics = self.path / "metrics.jsonl"
        self.part = self.path / "part.json"
        self.results = self.path / "results.json"
        self.report = self.path / "report.png"
        self.clusters = self.path / "clusters.png"
        self.checkpoints = self.path / "checkpoints"
        self._lock: TextIO | None = None

    def claim(self, resume: bool) -> None:
        """Makes sure that a run can be written here, by this process alone until it ends.

        Raises:
            ArgumentError: the folder is not writable; another process trains there; it holds a run
                and `resume` is false, or holds none and `resume` is true; a folder lies where a
                file is to be, or the other way round.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = folder_lock.take(self.path / "lock")
        except OSError as error:
            raise ArgumentError(
                "output_dir",
                self.path,
                f"cannot be written to ({error.strerror}); give a folder that can.",
            ) from error
        if self.flags.exists() and not resume:
            raise ArgumentError(
                "output_dir",
                self.path,
                "holds another run; give another folder, or --resume to go on with that one.",
            )
        if resume and not self.flags.exists():
            raise ArgumentError(
                "output_dir", self.path, "holds no run to resume; leave out --resume."
            )
        files = (self.flags, self.metrics, self.part, self.results, self.report, self.clusters)
        for path in (*files, self.checkpoints):
            if path.exists() and path.is_dir() != (path == self.checkpoints):
                kind = "a folder" if path.is_dir() else "no folder"
                raise ArgumentError(
                    "output_dir",
                    self.path,
                    f"{path.name} there is {kind}; remove it, or give another folder.",
                )
        folder_lock.sign(self._lock)
        for folder in (self.path, self.checkpoints):
            for unfinished in folder.glob(".unfinished-*"):  # of a job that was killed
                unfinished.unlink()

    def write_flags(self, lines: Iterable[str]) -> None:
        """Writes the flagfile, which begins with the version that makes the run."""
        lines = [f"{_MADE_BY} {VERSION}", *lines]
        write_whole(self.flags, "".join(f"{line}\n" for line in lines))

    def read_flags(self) -> list[str]:
        """The lines of the flagfile.

        Raises:
            ArgumentError: the folder holds no run, or one of a later version of tfmeta's.
        """
        if not self.flags.is_file():
            raise ArgumentError(
                "output_dir", self.path, "holds no run; give the output folder of a training run."
            )
        self.check_version()
        return [line for line in self._flag_lines() if line.startswith("--")]

    def check_version(self) -> None:
        """Refuses a run that a later version of tfmeta has made.

        Raises:
            ArgumentError: it is one.
        """
        first = self._flag_lines()[0] if self.flags.is_file() else ""
        version = first.removeprefix(_MADE_BY).strip() if first.startswith(_MADE_BY) else "0"
        if _numbers(version) > _numbers(VERSION):
            raise ArgumentError(
                "output_dir",
                self.path,
                f"the run there was made by tfmeta {version}, and this is tfmeta {VERSION}; "
                "install that version or a later one.",
            )

    def _flag_lines(self) -> list[str]:
        return self.flags.read_text(encoding="utf-8", errors="surrogateescape").split("\n")

    def write_metrics(self, rows: Iterable[dict[str, Any]]) -> None:
        """Writes all rows, one JSON object a line."""
        write_whole(self.metrics, "".join(f"{as_json(row)}\n" for row in rows))

    def read_metrics(self, last_step: int) -> list[dict[str, Any]]:
        """The rows up to and including a step.

        Raises:
            ArgumentError: the file is damaged.
        """
        if not self.metrics.exists():
            return []
        rows: list[dict[str, Any]] = []
        for number, line in enumerate(self.metrics.read_bytes().splitlines(), start=1):
            try:
                rows.append(_read(line, "step", "seconds", "training", "validation"))
            except ValueError as error:
                raise ArgumentError(
                    "output_dir",
                    self.path,
                    f"line {number} of {self.metrics.name} there is damaged ({error}); restore the "
                    "file, or remove it to go on without what it tells.",
                ) from None
        return [row for row in rows if row["step"] <= last_step]

    def write_part(self, part: dict[str, Any]) -> None:
        """Writes what is to be known of the steps since the last row, beside a checkpoint."""
        write_whole(self.part, as_json(part) + "\n")

    def read_part(self) -> dict[str, Any]:
        """What `write_part` wrote; nothing if it did not, or if that is damaged."""
        try:
            return _read(self.part.read_bytes(), "step", "taken", "seconds", "training")
        except FileNotFoundError:
            return {}
        except ValueError as error:
            print(
                f"{self.part}: damaged ({error}); its means and seconds are lost.", file=sys.stderr
            )
            return {}

    def steps_taken(self) -> int:
        """Of the newest checkpoint, be it whole or not; 0 if there is none."""
        steps = (path.stem.removeprefix("step_") for path in self.checkpoints.glob("step_*.keras"))
        return max((int(step) for step in steps if step.isdecimal()), default=0)

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes the results as one JSON object."""
        write_whole(self.results, as_json(results, indent=2) + "\n")


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON text, in which numbers that are not finite are null, since JSON has no NaN."""
    return json.dumps(_replaced(value, _or_none), indent=indent, allow_nan=False)


def _replaced(value, number):
    """A nest with other numbers in it."""
    if isinstance(value, dict):
        return {name: _replaced(part, number) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, number) for part in value]
    return number(value)


def _or_none(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _or_nan(value):
    return math.nan if value is None else value


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _read(text: bytes, *names: str) -> dict[str, Any]:
    """A JSON object that has these names, of numbers or of objects; null is NaN again.

    Raises:
        ValueError: it is damaged.
    """
    found = _replaced(json.loads(text), _or_nan)
    if not isinstance(found, dict) or not found.keys() >= set(names):
        raise ValueError(f"it is no object with {', '.join(names)}")
    for name in names:
        kind: Any = {"step": int, "taken": int, "seconds": int | float}.get(name, dict)
        if not isinstance(found[name], kind):
            raise ValueError(f"{name} is {found[name]!r}")
    return found
