"""Checkpoints of a learner: whole or not at all, the last few and the best."""

import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras

import tfmeta.learners  # noqa: F401 -- see `let_keras_know`
from tfmeta.errors import ArgumentError
from tfmeta.registry import LEARNERS, RULES, STARTS
from tfmeta.training import fan_in_adam, rates  # noqa: F401 -- see `let_keras_know`


class Checkpoints:
    """The checkpoints of one run, each a `.keras` file that holds learner and optimizer.

    Such a file is written under a temporary name and then renamed, so that a process killed at
    any moment leaves only whole ones; `keras.models.load_model` opens it without anything else.

    Args:
        folder: where they are; made when the first one is saved.
        keep: how many of the latest to keep.
    """

    def __init__(self, folder: Path, keep: int = 3):
        self.folder = Path(folder)
        self.keep = keep

    @property
    def best(self) -> Path:
        """Where the best one on validation is, or would be."""
        return self.folder / "best.keras"

    def save(self, learner: keras.Model, step: int) -> None:
        """Saves the learner as it is after `step` outer steps, and drops the oldest ones."""
        self._write(learner, self.folder / f"step_{step:08d}.keras")
        for _, path in self._newest_first()[self.keep :]:
            path.unlink()

    def save_best(self, learner: keras.Model) -> None:
        """Saves the learner as the best one so far."""
        self._write(learner, self.best)

    def check_best(self) -> None:
        """Makes sure that the best one so far can be gone on with.

        Raises:
            ArgumentError: it is missing or damaged.
        """
        damage = damage_of(self.best)
        if damage is not None:
            raise ArgumentError(
                "output_dir",
                self.best,
                f"the best checkpoint is missing or damaged ({damage}); restore it, or remove "
                "metrics.jsonl to have the best of what follows.",
            )

    def any(self) -> bool:
        """Whether there is one to go on from."""
        return bool(self._newest_first())

    def newest_whole(self) -> tuple[int, Path] | None:
        """The step and path of the newest undamaged checkpoint; None if there is none at all.

        A damaged one is reported on standard error, and the one before it is looked at.

        Raises:
            ArgumentError: there are checkpoints, and all are damaged.
        """
        found = self._newest_first()
        for step, path in found:
            damage = damage_of(path)
            if damage is None:
                return step, path
            print(f"{path}: damaged ({damage}); using the one before it.", file=sys.stderr)
        if found:
            raise ArgumentError(
                "output_dir",
                self.folder,
                "all of its checkpoints are damaged; give another folder and start again.",
            )
        return None

    def _newest_first(self) -> list[tuple[int, Path]]:
        found = []
        for path in self.folder.glob("step_*.keras"):
            match = re.fullmatch(r"step_(\d+)", path.stem)
            if match:
                found.append((int(match[1]), path))
        return sorted(found, reverse=True)

    def _write(self, learner: keras.Model, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".unfinished-{path.name}")
        learner.save(unfinished)
        os.replace(unfinished, path)


def damage_of(path: Path) -> str | None:
    """What is wrong with a `.keras` file, by its checksums; None if it is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
    except FileNotFoundError:
        return "it is not there"
    except (zipfile.BadZipFile, OSError) as error:
        return str(error)
    return None if member is None else f"wrong checksum of {member}"


def let_keras_know() -> None:
    """Imports all classes that a learner may be saved with, by which Keras knows them."""
    for members in (LEARNERS, STARTS, RULES):
        list(members.values())


def load(path: Path) -> keras.Model:
    """The learner that a checkpoint holds.

    Raises:
        ArgumentError: it is missing or damaged.
    """
    if not path.exists():
        raise ArgumentError("output_dir", path, "there is no such checkpoint; train first.")
    damage = damage_of(path)
    if damage is not None:
        raise ArgumentError("output_dir", path, f"the checkpoint is damaged ({damage}).")
    let_keras_know()
    try:
        return keras.models.load_model(path)
    # What Keras raises for files that it cannot read is not documented.
    except Exception as error:
        raise ArgumentError(
            "output_dir",
            path,
            "the checkpoint is whole, but does not hold a learner that can be loaded "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); give another folder.",
        ) from error


def restore(learner: keras.Model, path: Path) -> None:
    """Gives a compiled learner the weights and the optimizer state of a checkpoint.

    Raises:
        ArgumentError: the checkpoint is of a learner with other weights.
    """
    saved = load(path)
    learner.optimizer.build(learner.trainable_variables)
    old, new = _variables(saved), _variables(learner)
    if [v.shape for v in old] != [v.shape for v in new]:
        raise ArgumentError(
            "output_dir",
            path,
            "the checkpoint is of a network of another shape; give the flags that made it, or "
            "another folder.",
        )
    for variable, value in zip(new, old, strict=True):
        variable.assign(value)


def _variables(learner: keras.Model) -> list[Any]:
    return [*learner.variables, *learner.optimizer.variables]
