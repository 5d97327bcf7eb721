"""How well an unroll went: what a learned optimizer is trained to minimize."""

import abc
from collections.abc import Callable

import tensorflow as tf

from tfmeta.engine import Tasks
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import Step

# Of Wichrowska's meta-loss, log(f / (f_0 + e) + e).
_EPSILON = 1e-6


class MetaLoss(abc.ABC):
    """The meta-loss of an unroll of one problem."""

    @abc.abstractmethod
    def of_step(
        self, problems: ProblemFamily, task: Tasks, first_loss: tf.Tensor, step: Step
    ) -> tf.Tensor:
        """What one step adds, a scalar.

        Args:
            problems: the family.
            task: the problem.
            first_loss: its full loss before the first step of its training.
            step: the step that was taken.
        """

    @abc.abstractmethod
    def of_unroll(
        self, terms: tf.Tensor, steps: tf.Tensor | int, last_loss: Callable[[], tf.Tensor]
    ) -> tf.Tensor:
        """The meta-loss, summed over the problems, a scalar.

        Args:
            terms: the sum of what the steps added.
            steps: the number of steps.
            last_loss: computes the loss after the last step, summed over the problems, each on the
                batch of the next step.
        """


class SumOfLosses(MetaLoss):
    """The sum of f(theta_t), each on the batch of its step (Andrychowicz et al. 2016, equation 3).

    The losses are those before each step, and that after the last one.
    """

    def of_step(self, problems, task, first_loss, step):
        return step.loss

    def of_unroll(self, terms, steps, last_loss):
        return terms + last_loss()


class LogRatio(MetaLoss):
    """The mean of log(f(theta_t) / (f(theta_0) + 1e-6) + 1e-6) after each step, f on all data.

    Wichrowska et al. 2017, section 4.3.
    """

    def of_step(self, problems, task, first_loss, step):
        full_loss = problems.full_loss(step.weights, task["data"])
        return tf.math.log(full_loss / (first_loss + _EPSILON) + _EPSILON)

    def of_unroll(self, terms, steps, last_loss):
        return terms / tf.cast(steps, terms.dtype)


SUM = SumOfLosses()
LOG_RATIO = LogRatio()
