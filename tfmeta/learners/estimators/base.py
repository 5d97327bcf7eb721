"""The interface of gradient estimators: how the meta-gradient of an unroll is found."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmeta.engine import Tasks
from tfmeta.learners.configured import Configured


class Carried(NamedTuple):
    """Where the training of each of many problems stands; every tensor has a leading problem axis.

    Attributes:
        weights: of the problems.
        rule_state: the update rule's memory.
        first_loss: the full loss before the first step.
    """

    weights: list[tf.Tensor]
    rule_state: Any
    first_loss: tf.Tensor


class Unroll(NamedTuple):
    """What a part of the training of many problems was.

    Attributes:
        losses: the meta-loss of each problem, `[problems]`.
        carried: where the problems stand after it.
    """

    losses: tf.Tensor
    carried: Carried


# Runs an unroll with a rule's parameters, each `[problems, ...]`, or shared by all problems.
RunUnroll = Callable[..., Unroll]


class Estimator(Configured):
    """Estimates the gradient of the meta-loss of an unroll in the rule's parameters.

    Problems are trained from their start, unroll after unroll; an estimator is asked after each.
    It may train several copies of a problem, each with parameters of its own: copies are problems
    like others, run at once, and keep nothing but where they stand.
    """

    def copies(self, tasks: Tasks) -> Tasks:
        """The problems that are trained in the place of some problems, by default themselves."""
        return tasks

    @abc.abstractmethod
    def __call__(
        self, run: RunUnroll, parameters: Sequence[tf.Tensor], tasks: Tasks
    ) -> tuple[list[tf.Tensor], Unroll]:
        """The meta-gradient of an unroll, summed over the problems.

        Args:
            run: maps parameters to the `Unroll` of `tasks` with them; given `own=True`, each
                parameter has a leading axis and holds one value for each of `tasks`.
            parameters: of the rule.
            tasks: what `copies` gave.

        Returns:
            The gradient in each of the parameters, and the unroll. Its losses are those of the
            problems, not of copies: they are told, and nothing is made of them.
        """
