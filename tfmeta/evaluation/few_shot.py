"""How well a learner masters tasks that it has not seen."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.distributed import chunks, share
from tfmeta.errors import ArgumentError
from tfmeta.evaluation.statistics import interval95
from tfmeta.evaluation.units import amount, in_unit
from tfmeta.tasks.source import TaskSource

# How the query set was shown to a network whose normalizations depend on the batch.
_WAYS = {"transductive": "the query set as one batch", "by_example": "each query by itself"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came out for each task after 0, 1, ... inner steps.

    Attributes:
        measured: the loss and the compiled metrics by name, `loss` first, float64
            [tasks, inner steps + 1]; see `FewShotLearner.measures`.
    """

    measured: dict[str, np.ndarray]

    @property
    def measure(self) -> str:
        """The first of the compiled metrics; the loss where there are none."""
        return next((name for name in self._metrics() if not name.endswith(tuple(_WAYS))), "loss")

    def _metrics(self):
        return [name for name in self.measured if name.split("_")[0] != "loss"]

    def results(self) -> dict[str, Any]:
        """Means over the tasks: accuracies in per cent, as papers give them.

        Keys: `loss`, the first metric after and (`_before`) without adaptation, `ci95` of that
        metric after adaptation, and `_by_step` of the metric and of its interval; then every other
        metric after adaptation, with its `_ci95`.
        """
        main = self.measure
        means, widths = self._mean(main)
        results = {
            "loss": float(self.measured["loss"][:, -1].mean()),
            main: float(means[-1]),
            f"{main}_before": float(means[0]),
            "ci95": float(widths[-1]),
            f"{main}_by_step": means.tolist(),
            "ci95_by_step": widths.tolist(),
        }
        for name in self._metrics() or self.measured:
            if name != main:
                means, widths = self._mean(name)
                results |= {name: float(means[-1]), f"{name}_ci95": float(widths[-1])}
        return results

    def _mean(self, name):
        values = in_unit(name, self.measured[name])
        return values.mean(axis=0), interval95(values)

    def sentence(self) -> str:
        """The results for a person to read."""
        main = self.measure
        means, widths = self._mean(main)
        name = {"mse": "mean squared error"}.get(main, main.replace("_", " "))
        sentence = (
            f"{name} {amount(main, means[0])} before adaptation, "
            f"{amount(main, means[-1], widths[-1])} after "
            f"{len(means) - 1} inner steps (95 % interval)"
        )
        for way, words in _WAYS.items():
            if f"{main}_{way}" in self.measured:
                means, widths = self._mean(f"{main}_{way}")
                sentence += f"; {words}: {amount(main, means[-1], widths[-1])}"
        return sentence


class Evaluator:
    """Adapts to tasks of a source and measures each on its query set; traced once, used often.

    The tasks are those of the source's step 0, split over the ranks.

    Args:
        learner: a `FewShotLearner`, compiled.
        source: where the tasks come from.
        inner_steps: how many inner steps to take.
        tasks_at_once: how many tasks to hold in memory.
    """

    def __init__(self, learner: Any, source: TaskSource, inner_steps: int, tasks_at_once: int = 25):
        self._sampled = _sampled(learner, source)
        self.learner = learner
        self.inner_steps = inner_steps
        self.tasks_at_once = tasks_at_once

    def __call__(self, episodes: int) -> Evaluation:
        """The evaluation on so many tasks; every rank gets the whole of it.

        Raises:
            ArgumentError: fewer episodes than ranks, or not as many as the other ranks evaluate.
            RanksError: another rank does something else.
        """
        if episodes < distributed.size():
            raise ArgumentError(
                "episodes", episodes, f"each of {distributed.size()} ranks needs one; raise it."
            )
        asked = {"episodes": str(episodes), "inner_steps": str(self.inner_steps)}
        distributed.agree("tfmeta.evaluate", asked)
        mine = share(episodes, distributed.rank(), distributed.size())
        parts = []
        for first, last in chunks(mine, self.tasks_at_once):
            tasks = self._sampled(tf.constant(first), tf.constant(last))
            parts.append(self.learner.adaptation(tasks, self.inner_steps, of="measures"))
        names = sorted(parts[0])  # as graphs give them, on all ranks alike
        whole = [tf.concat([part[name] for part in parts], axis=0) for name in names]
        arrays = [tensor.numpy().astype(np.float64) for tensor in distributed.gather(whole)]
        found = dict(zip(names, arrays, strict=True))
        order = [name for name in self.learner.measure_names() if name in found]
        return Evaluation({name: found[name] for name in dict.fromkeys([*order, *names])})


def evaluate(learner: Any, source: TaskSource, episodes: int, inner_steps: int) -> Evaluation:
    """One evaluation, see `Evaluator`."""
    return Evaluator(learner, source, inner_steps)(episodes)


def examples(learner: Any, source: TaskSource, count: int = 3) -> dict[str, np.ndarray]:
    """A few tasks of a source, and what the learner predicts for their query sets.

    Returns:
        The tensors of the tasks, each with a leading task axis, and `before` and `prediction`:
        the predictions without adaptation and after `learner.test_inner_steps` inner steps.
    """
    tasks = _sampled(learner, source)(tf.constant(0), tf.constant(count))
    _, predictions = learner.adaptation(tasks, learner.test_inner_steps)
    predictions = tf.cast(predictions, tf.float32)
    tasks = {**tasks, "before": predictions[:, 0], "prediction": predictions[:, -1]}
    return {name: tensor.numpy() for name, tensor in tasks.items()}


def _sampled(learner: Any, source: TaskSource) -> Any:
    """A graph of tasks `first` to `last` of step 0, for which the learner is built."""
    number = tf.TensorSpec([], tf.int32)
    sampled = tf.function(
        lambda first, last: source.batch(0, first, last), autograph=False
    ).get_concrete_function(number, number)
    examples = sampled.structured_outputs["support_x"]
    learner.build_for(
        tf.nest.map_structure(lambda x: tf.TensorSpec([1, *x.shape[2:]], x.dtype), examples)
    )
    return sampled
