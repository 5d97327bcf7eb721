"""The meta-training of a learner, which can be stopped at any step and resumed."""

import abc
import math
import time
from typing import Any, NamedTuple

import keras
import numpy as np

from tfmeta import distributed
from tfmeta.environment import stopping
from tfmeta.errors import ArgumentError, NonFiniteError, StoppedError
from tfmeta.training import checkpoints
from tfmeta.training.averages import averaged
from tfmeta.training.bar import Bar
from tfmeta.training.events import Events
from tfmeta.training.forecast import Forecast
from tfmeta.training.run_folder import RunFolder


class Training(NamedTuple):
    """What a training was.

    Attributes:
        rows: one for each validation, as in `metrics.jsonl`: `step`, how many there have been,
            `seconds` that they took, without validation, and what `advance` and `validate` gave.
        seconds: that its steps took, those before it was resumed included, without validation.
        tasks_per_second: of the steps since it was started or resumed, without the first, which
            traces the graph; None where there was no other.
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

        It takes no further step once `progress.stopping`. What it does depends on the learner's
        variables and on these numbers alone, so that a training that was stopped or killed goes on,
        with the same number of ranks, as if it had not been.

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

    What is validated, and saved as the best, are the averages of its weights where its optimizer
    keeps them (`use_ema`).

    Args:
        trainer: how its steps are taken.
        folder: where checkpoints and metrics go.
        steps: outer steps in all.
        validate_every: outer steps between two validations; before each there is a checkpoint.
        resume: go on from the newest whole checkpoint of the folder.
        shorter: what would make it take less time, see `Forecast`.

    Raises:
        StoppedError: a rank was asked to end; there is a checkpoint of the steps so far.
        NonFiniteError: the meta-loss, or a weight at a checkpoint, is not finite; checkpoints stay
            as they were.
        ArgumentError: there is nothing to go on with, or what there is is damaged.
    """
    saved = checkpoints.Checkpoints(folder.checkpoints)
    learner = trainer.learner
    rows, part = _resume(trainer, folder, saved) if resume else ([], Part(0, 0, 0.0, {}))
    progress = Progress(part.step, steps, trainer.meta_batch, shorter)
    events = None
    if distributed.is_main():
        events = Events(folder.path, rows, folder.read_flags(), trainer.images())
    while True:
        validated = rows[-1]["step"] if rows else 0
        if part.step > validated and (part.step % validate_every == 0 or part.step >= steps):
            with averaged(learner):
                row = part.row(trainer.validate())
                said = trainer.headline(row["validation"])
                progress.bar.tell(f"step {part.step}: validation {said}")
                rows = [*rows, row]
                if events:
                    _keep(rows, trainer, folder, saved, events)
            part = Part(part.step, 0, part.seconds, {})
        if part.step >= steps:
            break
        count = min(validate_every - part.step % validate_every, steps - part.step)
        before = time.monotonic()
        trained = trainer.advance(part.step, count, progress)
        part = part.longer(progress.reached, time.monotonic() - before, trained)
        # A task may diverge in more inner steps than training takes; weights that are not finite
        # would make every loss from here on so, and are not saved.
        if not all(np.isfinite(weight).all() for weight in learner.get_weights()):
            raise NonFiniteError(part.step, math.nan)
        if distributed.is_main():
            folder.write_part(part._asdict())
            saved.save(learner, part.step)
        if progress.stopping:
            progress.close()
            distributed.gather_objects("saved")  # rank 0 has
            raise StoppedError(part.step)
        stopping.release()
    progress.close()
    return Training(rows, part.seconds, progress.tasks_per_second())


class Part(NamedTuple):
    """The steps since the last validation, which a checkpoint may lie among.

    Attributes:
        step: how many outer steps there have been in all.
        taken: how many of them since the last validation.
        seconds: that all of them took.
        training: means of what `advance` gave, over those since the last validation.
    """

    step: int
    taken: int
    seconds: float
    training: dict[str, float]

    def longer(self, step: int, seconds: float, training: dict[str, float]) -> "Part":
        """This part and the steps up to `step`, which took so many seconds."""
        more = step - self.step
        taken = self.taken + more
        if self.taken and self.training.keys() == training.keys():
            training = {
                name: (self.taken * self.training[name] + more * value) / taken
                for name, value in training.items()
            }
        return Part(step, taken, self.seconds + seconds, training)

    def row(self, validation: dict[str, Any]) -> dict[str, Any]:
        """The row of `metrics.jsonl`, with what `validate` gave."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "training": self.training,
            "validation": validation,
        }


def _keep(rows, trainer, folder, saved, events):
    """Writes the last row, and the learner as it was validated if it is the best so far."""
    stopping.hold()
    if _is_best(rows, trainer):
        saved.save_best(trainer.learner)
    folder.write_metrics(rows)
    events.write(rows[-1])
    stopping.release()


def _resume(trainer, folder, saved):
    """Restores on rank 0, and tells all ranks the step and the weights, which they may validate.

    Returns:
        The rows up to the checkpoint, and the `Part` that ends with it.
    """

    def restored():
        found = saved.newest_whole()
        if found is None:
            return [], Part(0, 0, 0.0, {})
        step, path = found
        checkpoints.restore(trainer.learner, path)
        rows, part = _history(folder, step)
        _check_merits(rows, trainer, folder)
        if rows:
            saved.check_best()
        return rows, part

    found = distributed.on_main(restored)
    learner = trainer.learner
    learner.optimizer.build(learner.trainable_variables)
    distributed.broadcast([*learner.variables, *learner.optimizer.variables])
    return found


def _check_merits(rows, trainer, folder):
    """Refuses rows of which it cannot be said which was the best."""
    for row in rows:
        try:
            float(trainer.merit(row["validation"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentError(
                "output_dir",
                folder.path,
                f"{folder.metrics.name} there is damaged (step {row['step']}: {error}); restore "
                "the file, or remove it to go on without what it tells.",
            ) from None


def _history(folder, step):
    """The rows up to a step, and the part since the last of them."""
    rows = folder.read_metrics(step)
    part = Part(step, 0, rows[-1]["seconds"] if rows else 0.0, {})
    kept = folder.read_part() if step > (rows[-1]["step"] if rows else 0) else {}
    if kept.get("step") == step:
        part = Part(**{name: kept[name] for name in Part._fields})
    return rows, part


def _is_best(rows, trainer):
    def merit(row):
        value = trainer.merit(row["validation"])
        return value if math.isfinite(value) else -math.inf

    return merit(rows[-1]) >= max(merit(row) for row in rows)


class Progress:
    """Tells how far a training is, and stops every rank at a meta-loss that is not finite.

    Attributes:
        reached: how many steps there have been.
        stopping: whether a rank has been asked to end; all ranks see it at the same step.
    """

    def __init__(self, first_step: int, steps: int, meta_batch: int, shorter: str = "."):
        self.reached = first_step
        self.stopping = False
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
        stopping.hold()  # until there is a checkpoint
        self.reached = step + 1
        self.stopping = distributed.stop_agreed()
        now = time.monotonic()
        if self.last is not None:
            self.seconds += now - self.last
            self.steps += 1
        self.last = now
        self.bar.update(self.reached, logs)
        said = self.forecast(self.steps, self.seconds, self.total - step - 1)
        if said:
            self.bar.tell(said)

    def tasks_per_second(self) -> float | None:
        return self.steps * self.meta_batch / self.seconds if self.seconds else None

    def close(self) -> None:
        self.bar.close()
