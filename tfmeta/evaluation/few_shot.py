"""How well a learner masters tasks that it has not seen."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.distributed import chunks, share
from tfmeta.errors import ArgumentError
from tfmeta.evaluation.statistics import interval95
from tfmeta.tasks.source import TaskSource


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came out for each task after 0, 1, ... inner steps.

    Attributes:
        measure: `"accuracy"` (a share of the query set, 0 to 1) for integer labels, `"mse"` (mean
            squared error) otherwise.
        losses: float64 [tasks, inner steps + 1].
        scores: the measure, float64 [tasks, inner steps + 1].
    """

    measure: str
    losses: np.ndarray
    scores: np.ndarray

    def results(self) -> dict[str, Any]:
        """Means over the tasks: accuracies in per cent, as papers give them.

        Keys: `loss`, the measure after and (`_before`) without adaptation, `ci95` of the measure
        after adaptation, and `_by_step` of the measure and of its interval.
        """
        scores = self.scores * (100.0 if self.measure == "accuracy" else 1.0)
        means, widths = scores.mean(axis=0), interval95(scores)
        return {
            "loss": float(self.losses[:, -1].mean()),
            self.measure: float(means[-1]),
            f"{self.measure}_before": float(means[0]),
            "ci95": float(widths[-1]),
            f"{self.measure}_by_step": means.tolist(),
            "ci95_by_step": widths.tolist(),
        }

    def sentence(self) -> str:
        """The results for a person to read."""
        results, unit = self.results(), " %" if self.measure == "accuracy" else ""
        name = "accuracy" if self.measure == "accuracy" else "mean squared error"
        digits = 1 if self.measure == "accuracy" else 3
        return (
            f"{name} {results[f'{self.measure}_before']:.{digits}f}{unit} before adaptation, "
            f"{results[self.measure]:.{digits}f} +- {results['ci95']:.{digits}f}{unit} after "
            f"{self.scores.shape[1] - 1} inner steps (95 % interval)"
        )


class Evaluator:
    """Adapts to tasks of a source and measures each on its query set; traced once, used often.

    The tasks are those of the source's step 0, split over the ranks.

    Args:
        learner: with `adaptation(tasks, inner_steps)`, such as a compiled `MAML`.
        source: where the tasks come from.
        inner_steps: how many inner steps to take.
        tasks_at_once: how many tasks to hold in memory.
    """

    def __init__(self, learner: Any, source: TaskSource, inner_steps: int, tasks_at_once: int = 25):
        self._sampled, self._adapted = _graphs(learner, source, inner_steps)
        integer = self._sampled.structured_outputs["query_y"].dtype.is_integer
        self.measure = "accuracy" if integer else "mse"
        self.tasks_at_once = tasks_at_once

    def __call__(self, episodes: int) -> Evaluation:
        """The evaluation on so many tasks; every rank gets the whole of it.

        Raises:
            ArgumentError: fewer episodes than ranks.
        """
        if episodes < distributed.size():
            raise ArgumentError(
                "episodes", episodes, f"each of {distributed.size()} ranks needs one; raise it."
            )
        mine = share(episodes, distributed.rank(), distributed.size())
        parts = []
        for first, last in chunks(mine, self.tasks_at_once):
            tasks = self._sampled(tf.constant(first), tf.constant(last))
            losses, predictions = self._adapted(tasks)
            parts.append((losses, _scores(self.measure, tasks["query_y"], predictions)))
        whole = [tf.concat(part, axis=0) for part in zip(*parts, strict=True)]
        losses, scores = (tensor.numpy().astype(np.float64) for tensor in distributed.gather(whole))
        return Evaluation(self.measure, losses, scores)


def evaluate(learner: Any, source: TaskSource, episodes: int, inner_steps: int) -> Evaluation:
    """One evaluation, see `Evaluator`."""
    return Evaluator(learner, source, inner_steps)(episodes)


def examples(learner: Any, source: TaskSource, count: int = 3) -> dict[str, np.ndarray]:
    """A few tasks of a source, and what the learner predicts for their query sets.

    Returns:
        The tensors of the tasks, each with a leading task axis, and `before` and `prediction`:
        the predictions without adaptation and after `learner.test_inner_steps` inner steps.
    """
    sampled, adapted = _graphs(learner, source, learner.test_inner_steps)
    tasks = sampled(tf.constant(0), tf.constant(count))
    predictions = tf.cast(adapted(tasks)[1], tf.float32)
    tasks = {**tasks, "before": predictions[:, 0], "prediction": predictions[:, -1]}
    return {name: tensor.numpy() for name, tensor in tasks.items()}


def _graphs(learner: Any, source: TaskSource, inner_steps: int) -> tuple[Any, Any]:
    """What samples the tasks of step 0, of numbers `first` to `last`, and what adapts to them.

    The second is the same graph for all sources whose tasks look alike.
    """
    number = tf.TensorSpec([], tf.int32)
    sampled = tf.function(
        lambda first, last: source.batch(0, first, last), autograph=False
    ).get_concrete_function(number, number)
    specs = sampled.structured_outputs
    if not learner.built:
        learner.build([None, *specs["support_x"].shape[2:]])
    return sampled, learner.adaptation(specs, inner_steps)


def _scores(measure: str, y: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
    """[tasks, inner steps + 1], from y [tasks, n, ...], predictions [tasks, steps + 1, n, ...]."""
    predictions, y = tf.cast(predictions, tf.float32), y[:, None]
    if measure == "accuracy":
        right = tf.argmax(predictions, axis=-1, output_type=y.dtype) == y
        return tf.reduce_mean(tf.cast(right, tf.float32), axis=-1)
    errors = tf.square(predictions - tf.cast(y, tf.float32))
    return tf.reduce_mean(errors, axis=list(range(2, errors.shape.rank)))
