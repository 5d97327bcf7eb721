"""What TensorBoard shows of a run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class Events:
    """The event file of a run: its curves, its flags, and the images of some of its tasks.

    The curves are the numbers of the rows of `metrics.jsonl` under the same names, in the same
    units, over outer steps: `training/loss`, `validation/accuracy`. A run that goes on has one new
    file, with all its rows, in place of the older ones.

    Args:
        folder: of the run.
        rows: those that there are already.
        flags: lines of a flagfile.
        images: uint8 or float from 0 to 1 [images, height, width, 1 or 3], by name.
    """

    def __init__(
        self,
        folder: Path,
        rows: Iterable[Mapping[str, Any]],
        flags: Iterable[str],
        images: Mapping[str, np.ndarray],
    ):
        for older in folder.glob("events.out.tfevents.*"):
            older.unlink()
        self.writer = tf.summary.create_file_writer(str(folder))
        with self.writer.as_default(step=0):
            tf.summary.text("flags", "\n".join(f"    {line}" for line in flags))
            for name, array in images.items():
                tf.summary.image(name, array, max_outputs=len(array))
        for row in rows:
            self.write(row)
        self.writer.flush()

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row of `metrics.jsonl`."""
        with self.writer.as_default(step=row["step"]):
            for name, value in _numbers("", {n: v for n, v in row.items() if n != "step"}):
                tf.summary.scalar(name, value)
        self.writer.flush()


def _numbers(path: str, values: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """The numbers in dictionaries within dictionaries, by their paths; lists have no curve."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{path}{name}/", value)
        elif isinstance(value, int | float):
            yield f"{path}{name}", value
