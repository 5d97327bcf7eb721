"""The meta-training of a learner on a task source, resumable at any step."""

import math
import sys
import time
from typing import Any, NamedTuple

import keras
import numpy as np
import tqdm

from tfmeta import checkpoints, distributed
from tfmeta.errors import ArgumentError, NonFiniteError
from tfmeta.evaluation import Evaluator
from tfmeta.run_folder import RunFolder
from tfmeta.tasks.task_source import TaskSource


class Training(NamedTuple):
    """What a training was.

    Attributes:
        rows: one for each validation, as in `metrics.jsonl`.
        seconds: its duration, validation included.
        tasks_per_second: of the training steps alone, without the first, which traces the graph;
            None where there was no other.
    """

    rows: list[dict[str, Any]]
    seconds: float
    tasks_per_second: float | None


def train(
    learner: keras.Model,
    source: TaskSource,
    validation: TaskSource,
    folder: RunFolder,
    *,
    steps: int,
    meta_batch: int,
    validate_every: int,
    validation_episodes: int,
    resume: bool = False,
) -> Training:
    """Trains a compiled learner; every rank calls it.

    The step after a checkpoint depends on the checkpoint and the step's number alone, so a
    training that was killed goes on, with the same number of ranks, as if it had not been.

    Args:
        learner: built and compiled.
        source: tasks to train on.
        validation: tasks to choose the best weights by.
        folder: where checkpoints and metrics go.
        steps: outer steps in all.
        meta_batch: tasks of an outer step, of all ranks together.
        validate_every: outer steps between two validations; each ends with a checkpoint.
        validation_episodes: tasks of a validation.
        resume: go on from the newest whole checkpoint of the folder.

    Raises:
        NonFiniteError: the meta-loss, or a weight at a checkpoint, is not finite; checkpoints stay
            as they were.
        ArgumentError: there is nothing to go on with.
    """
    started = time.monotonic()
    saved = checkpoints.Checkpoints(folder.checkpoints)
    step, rows = _resume(learner, folder, saved) if resume else (0, [])
    validate = Evaluator(learner, validation, learner.test_inner_steps)
    progress = _Progress(step, steps, meta_batch)
    while step < steps:
        count = min(validate_every - step % validate_every, steps - step)
        progress.first_step = step
        history = learner.fit(
            source.batches(meta_batch, step, count, distributed.rank(), distributed.size()),
            callbacks=[progress],
            verbose=0,
        ).history
        step += count
        score = validate(validation_episodes).results()
        # A task may diverge in more inner steps than training takes; weights that are not finite
        # would make every loss from here on so, and are not saved.
        if not all(np.isfinite(weight).all() for weight in learner.get_weights()):
            raise NonFiniteError(step, math.nan)
        if distributed.is_main():
            trained = {name: float(values[-1]) for name, values in history.items()}
            rows = [*rows, {"step": step, "training": trained, "validation": score}]
            if _is_best(rows):
                saved.save_best(learner)
            folder.write_metrics(rows)
            saved.save(learner, step)
    progress.close()
    return Training(rows, time.monotonic() - started, progress.tasks_per_second())


def _resume(learner, folder, saved):
    """Restores on rank 0, from whose weights `fit` starts every rank; the step is told to all."""
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


def _is_best(rows):
    def score(row):
        validation = row["validation"]
        value = validation["accuracy"] if "accuracy" in validation else -validation["mse"]
        return value if math.isfinite(value) else -math.inf

    return score(rows[-1]) >= max(score(row) for row in rows)


class _Progress(keras.callbacks.Callback):
    """Rank 0's progress bar; stops every rank at a meta-loss that is not finite."""

    def __init__(self, first_step: int, steps: int, meta_batch: int):
        super().__init__()
        self.first_step = first_step
        self.meta_batch = meta_batch
        self.seconds = 0.0
        self.steps = 0
        self.last: float | None = None
        self.bar = tqdm.tqdm(
            total=steps * meta_batch,
            initial=first_step * meta_batch,
            unit=" tasks",
            disable=not distributed.is_main(),
            file=sys.stderr,
            mininterval=0.5,
        )

    def on_train_begin(self, logs=None):
        self.last = None

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self.close()
            raise NonFiniteError(self.first_step + batch, loss)
        now = time.monotonic()
        if self.last is not None:
            self.seconds += now - self.last
            self.steps += 1
        self.last = now
        self.bar.set_postfix(
            {name: f"{float(value):.3f}" for name, value in logs.items()}, refresh=False
        )
        self.bar.update(self.meta_batch)

    def tasks_per_second(self) -> float | None:
        return self.steps * self.meta_batch / self.seconds if self.seconds else None

    def close(self):
        self.bar.close()
