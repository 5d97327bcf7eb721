"""The interface of optimization problems: what a learned optimizer trains on."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.tasks.addressed import AddressedSource
from tfmeta.updates.base import UpdateRule
from tfmeta.updates.objective import Objective, Weights


class ProblemFamily(AddressedSource):
    """A family of optimization problems, endless and addressed as tasks are.

    All problems of a family have weights of the same shapes, so that one graph serves them all and
    many can run at once. `tasks` makes problems from their seeds: where each starts, and the data
    that makes it differ from the others. The functions of one problem (`loss`, `full_loss`,
    `score`) are written without a task axis; the engine runs them for many. Data that all problems
    of a family share, such as images, belongs to the object, not to `tasks`.

    Attributes:
        name: what it is called in reports.
        metric: the name of what `score` gives, or None where a problem has no measure but its loss.
        vectorizable: whether many problems can run at once, see `engine.vectorize`. Whether they do
            is for the learner to say.
    """

    name: str
    metric: str | None = None
    vectorizable = True

    @property
    def type(self) -> str:
        """The type of the problems: the class that makes them, whatever is done to their loss."""
        return type(self).__name__

    @abc.abstractmethod
    def tasks(self, seeds: tf.Tensor) -> dict[str, Any]:
        """Makes one problem for each seed, within a graph.

        Args:
            seeds: int32 `[problems, 2]`.

        Returns:
            `weights`: the tensors that each problem starts from, each `[problems, ...]`, and
            `data`: a nest of tensors with a leading problem axis.
        """

    @abc.abstractmethod
    def loss(self, weights: Weights, data: Any, seed: tf.Tensor) -> tf.Tensor:
        """The loss on one batch (scalar, not negative).

        Args:
            weights: of one problem.
            data: of one problem, as `tasks` made it.
            seed: int32 `[2]`, chooses the batch and draws the noise, if there is any.
        """

    def first_state(
        self, rule: UpdateRule, parameters: Sequence[tf.Tensor], task: dict[str, Any]
    ) -> Any:
        """What a rule remembers of one problem before the first step.

        Args:
            rule: moves the weights.
            parameters: of the rule.
            task: one problem, as `batch` makes it.
        """
        # Number 0; those of the steps begin at 1.
        seed = random_numbers.fold_in(task["seed"], 0)
        return rule.initial_state(parameters, task["weights"], seed)

    def objective(self, task: dict[str, Any], step: tf.Tensor | int) -> Objective:
        """What one problem asks for in one step: the loss on the batch of that step.

        Args:
            task: one problem, as `batch` makes it.
            step: how many steps the problem has taken.
        """
        seed = random_numbers.fold_in(task["seed"], step + 1)
        return Objective(lambda weights: (self.loss(weights, task["data"], seed), ()))

    def full_loss(self, weights: Weights, data: Any) -> tf.Tensor:
        """The loss on all data, without noise (scalar); a problem without batches has only one."""
        return self.loss(weights, data, tf.zeros([2], tf.int32))

    def held_out_loss(self, weights: Weights, data: Any) -> tf.Tensor:
        """The loss on data never used for training (scalar); where there is none, `full_loss`."""
        return self.full_loss(weights, data)

    def score(self, weights: Weights, data: Any) -> tf.Tensor:
        """The metric on data never used for training (scalar), where there is a metric."""
        raise NotImplementedError(f"{self.name} has no metric")
