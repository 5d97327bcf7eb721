"""How well an unroll went: what a learned optimizer is trained to minimize."""

import abc
from collections.abc import Callable

import keras
import tensorflow as tf

from tfmeta.checks import check_positive
from tfmeta.engine import Tasks
from tfmeta.learners.configured import Configured
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import Step


class MetaLoss(Configured):
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
        """The meta-loss of each problem, `[problems]`.

        Args:
            terms: the sum of what the steps added, of each problem.
            steps: the number of steps.
            last_loss: computes the loss after the last step, of each problem on the batch of the
                next step.
        """


@keras.saving.register_keras_serializable("tfmeta")
class SumOfLosses(MetaLoss):
    """The sum of f(theta_t), each on the batch of its step (Andrychowicz et al. 2016, equation 3).

    The losses are those before each step, and that after the last one.
    """

    def of_step(self, problems, task, first_loss, step):
        return step.loss

    def of_unroll(self, terms, steps, last_loss):
        return terms + last_loss()

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("tfmeta")
class LogRatio(MetaLoss):
    """The mean of log(f(theta_t) / (f(theta_0) + e) + e) after each step, f on all data.

    Wichrowska et al. 2017, section 4.3.

    Args:
        floor: e, below which a ratio counts no more. Published is 1e-6: a problem that has come
            that far teaches nothing further.

    Raises:
        ArgumentError: the floor is not a positive finite number.
    """

    def __init__(self, floor: float = 1e-6):
        self.floor = check_positive("floor", floor)

    def of_step(self, problems, task, first_loss, step):
        full_loss = problems.full_loss(step.weights, task["data"])
        return tf.math.log(full_loss / (first_loss + self.floor) + self.floor)

    def of_unroll(self, terms, steps, last_loss):
        return terms / tf.cast(steps, terms.dtype)

    def get_config(self):
        return {"floor": self.floor}
