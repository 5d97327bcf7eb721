"""How well an unroll went: what a learned optimizer is trained to minimize."""

import keras
import tensorflow as tf

from tfmeta.checks import check_positive
from tfmeta.engine import Tasks
from tfmeta.learners.configured import Configured
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import Step
from tfmeta.updates.objective import Objective, Weights


class MetaLoss(Configured):
    """The meta-loss of an unroll of one problem: the sum of what its steps and its end add."""

    def of_step(
        self,
        problems: ProblemFamily,
        task: Tasks,
        first_loss: tf.Tensor,
        step: Step,
        steps: tf.Tensor | int,
    ) -> tf.Tensor:
        """What one step adds, a scalar; by default nothing.

        Args:
            problems: the family.
            task: the problem.
            first_loss: its full loss before the first step of its training.
            step: the step that was taken.
            steps: how many the unroll has.
        """
        return tf.zeros_like(first_loss)

    def of_end(
        self,
        problems: ProblemFamily,
        task: Tasks,
        first_loss: tf.Tensor,
        weights: Weights,
        objective: Objective,
    ) -> tf.Tensor:
        """What is added after the last step, a scalar; by default nothing.

        Args:
            problems, task, first_loss: as of `of_step`.
            weights: after the last step.
            objective: of the step that would come next.
        """
        return tf.zeros_like(first_loss)


@keras.saving.register_keras_serializable("tfmeta")
class SumOfLosses(MetaLoss):
    """The sum of f(theta_t), each on the batch of its step (Andrychowicz et al. 2016, equation 3).

    The losses are those before each step, and that after the last one.
    """

    def of_step(self, problems, task, first_loss, step, steps):
        return step.loss

    def of_end(self, problems, task, first_loss, weights, objective):
        return objective.loss(weights)[0]

    def get_config(self):
        return {}


class _LogRatios(MetaLoss):
    """Made of log(f(theta_t) / (f(theta_0) + e) + e), f on all data."""

    def __init__(self, floor: float = 1e-6):
        self.floor = check_positive("floor", floor)

    def log_ratio(
        self, problems: ProblemFamily, task: Tasks, first_loss: tf.Tensor, weights: Weights
    ) -> tf.Tensor:
        """That of some weights, a scalar."""
        full_loss = problems.full_loss(weights, task["data"])
        return tf.math.log(full_loss / (first_loss + self.floor) + self.floor)

    def get_config(self):
        return {"floor": self.floor}


@keras.saving.register_keras_serializable("tfmeta")
class LogRatio(_LogRatios):
    """The mean of log(f(theta_t) / (f(theta_0) + e) + e) after each step, f on all data.

    Wichrowska et al. 2017, section 4.3.

    Args:
        floor: e, below which a ratio counts no more. Published is 1e-6: a problem that has come
            that far teaches nothing further.

    Raises:
        ArgumentError: the floor is not a positive finite number.
    """

    def of_step(self, problems, task, first_loss, step, steps):
        ratio = self.log_ratio(problems, task, first_loss, step.weights)
        return ratio / tf.cast(steps, ratio.dtype)


@keras.saving.register_keras_serializable("tfmeta")
class LastLogRatio(_LogRatios):
    """The log ratio after the last step of the unroll alone.

    What a step does to those that follow it in the unroll counts for nothing but for where they
    end, so that a rule need not be quick at first.

    Args:
        floor: as of `LogRatio`.

    Raises:
        ArgumentError: the floor is not a positive finite number.
    """

    def of_end(self, problems, task, first_loss, weights, objective):
        return self.log_ratio(problems, task, first_loss, weights)
