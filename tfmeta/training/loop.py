"""The meta-training of a learner, resumable at any validation."""

import abc
import math
import time
from typing import Any, NamedTuple

import keras
import numpy as np

from tfmeta import distributed
from tfmeta.errors import ArgumentError, NonFiniteError
from tfmeta.training import checkpoints
from tfmeta.training.bar import Bar
from tfmeta.training.events import Events
from tfmeta.training.forecast import Forecast
from tfmeta.training.run_folder import RunFolder


class Training(NamedTuple):
    """What a training was.

    Attributes:
        rows: one for each validation, as in `metrics.jsonl`: `step`, how many there have been,
            `seconds` that they took, without validation, and what `advance` and `validate` gave.
        seconds: its duration, validation included.
        tasks_per_second: of the training steps alone, without the first, which traces the graph;
            None where there was no other.
    """

    rows: list[dict[str, Any]]
    seconds: float
    tasks_per_second: float | None


class Trainer(abc.ABC):
    """What one kind of learner does between two checkpoints.

    Attributes:
        learner: compiled; all that it learns is in its variables and its optimizer's.
        meta_batch: tasks of a step, of all ranks together.
    """

    learner: keras.Model
    meta_batch: int

    @abc.abstractmethod
    def advance(self, step: int, count: int, progress: "Progress") -> dict[str, float]:
        """Takes the steps `step`, ... `step + count - 1`, and tells `progress` of each.

        What it does depends on the learner's variables and on these numbers alone, so that a
        training that was killed goes on, with the same number of ranks, as if it had not been.

        Returns:
            What to record of them.
        """

    @abc.abstractmethod
    def validate(self) -> dict[str, Any]:
        """What to record of the learner as it is now."""

    @abc.abstractmethod
    def merit(self, validation: dict[str, Any]) -> float:
        """The greater, the better, of what `validate` gave."""

    @abc.abstractmethod
    def headline(self, validation: dict[str, Any]) -> str:
        """What to tell a person of what `validate` gave."""

    def images(self) -> dict[str, np.ndarray]:
        """Images of some tasks by name, see `Events`."""
        return {}


def train(
    trainer: Trainer,
    folder: RunFolder,
    *,
    steps: int,
    validate_every: int,
    resume: bool = False,
    shorter: str = ".",
) -> Training:
    """Trains a learner; every rank calls it.

    Args:
        trainer: how its steps are taken.
        folder: where checkpoints and metrics go.
        steps: outer steps in all.
        validate_every: outer steps between two validations; each ends with a checkpoint.
        resume: go on from the newest whole checkpoint of the folder.
        shorter: what would make it take less time, see `Forecast`.

    Raises:
        NonFiniteError: the meta-loss, or a weight at a checkpoint, is not finite; checkpoints stay
            as they were.
        ArgumentError: there is nothing to go on with.
    """
    started = time.monotonic()
    saved = checkpoints.Checkpoints(folder.checkpoints)
    learner = trainer.learner
    step, rows = _resume(learner, folder, saved) if resume else (0, [])
    seconds = rows[-1]["seconds"] if rows else 0.0
    progress = Progress(step, steps, trainer.meta_batch, shorter)
    events = None
    if distributed.is_main():
        events = Events(folder.path, rows, folder.read_flags(), trainer.images())
    while step < steps:
        count = min(validate_every - step % validate_every, steps - step)
        before = time.monotonic()
        trained = trainer.advance(step, count, progress)
        seconds += time.monotonic() - before
        step += count
        validation = trainer.validate()
        # A task may diverge in more inner steps than training takes; weights that are not finite
        # would make every loss from here on so, and are not saved.
        if not all(np.isfinite(weight).all() for weight in learner.get_weights()):
            raise NonFiniteError(step, math.nan)
        progress.bar.tell(f"step {step}: validation {trainer.headline(validation)}")
        if events:
            row = {"step": step, "seconds": seconds, "training": trained, "validation": validation}
            rows = [*rows, row]
            if _is_best(rows, trainer):
                saved.save_best(learner)
            folder.write_metrics(rows)
            events.write(row)
            saved.save(learner, step)
    progress.close()
    return Training(rows, time.monotonic() - started, progress.tasks_per_second())


def _resume(learner, folder, saved):
    """Restores on rank 0, from whose weights every rank starts; the step is told to all."""
    step, rows, problem = 0, [], None
    if distributed.is_main():
        try:
            found = saved.newest_whole()
            if found is not None:
                step, path = found
                checkpoints.restore(learner, path)
                rows = folder.read_metrics(step)
        except ArgumentError as error:
            problem = error
    step, problem = distributed.gather_objects((step, problem))[0]
    if problem is not None:
        raise problem
    return step, rows


def _is_best(rows, trainer):
    def merit(row):
        value = trainer.merit(row["validation"])
        return value if math.isfinite(value) else -math.inf

    return merit(rows[-1]) >= max(merit(row) for row in rows)


class Progress:
    """Tells how far a training is, and stops every rank at a meta-loss that is not finite."""

    def __init__(self, first_step: int, steps: int, meta_batch: int, shorter: str = "."):
        self.meta_batch = meta_batch
        self.total = steps
        self.forecast = Forecast(shorter)
        self.seconds = 0.0
        self.steps = 0
        self.last: float | None = None
        self.bar = Bar(first_step, steps, meta_batch)

    def pause(self) -> None:
        """Leaves what comes before the end of the next step out of the tasks per second."""
        self.last = None

    def step(self, step: int, logs: dict[str, float]) -> None:
        """Step number `step` has ended, with the meta-loss as `loss`.

        Raises:
            NonFiniteError: the meta-loss is not finite.
        """
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self.close()
            raise NonFiniteError(step, loss)
        now = time.monotonic()
        if self.last is not None:
            self.seconds += now - self.last
            self.steps += 1
        self.last = now
        self.bar.update(logs)
        said = self.forecast(self.steps, self.seconds, self.total - step - 1)
        if said:
            self.bar.tell(said)

    def tasks_per_second(self) -> float | None:
        return self.steps * self.meta_batch / self.seconds if self.seconds else None

    def close(self) -> None:
        self.bar.close()
