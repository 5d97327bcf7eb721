"""Least squares of a linearised network as an inner step, with learned variances."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.linearised import Linearised
from tfmeta.updates.hand_made import at_step, check_rate
from tfmeta.updates.update_rule import Rule


@keras.saving.register_keras_serializable("tfmeta")
class GaussNewton(Rule):
    """theta' = theta + V J^T (J V J^T + s)^-1 (y - f(x)), V and s learned for each inner step.

    The step of Levenberg (1944) and Marquardt (1963) for the squared error of few examples: J is
    the Jacobian of the predictions in the weights. V, the variance of each weight tensor, says how
    freely it moves, and s, the variance of the noise, how closely the targets are met. Those of the
    first step are also the prior of a task's weights about the initial ones: with it, the targets
    of a task have a probability (`surprise`), by which learners tell clusters of tasks apart; that
    a prior be learned so is the hierarchical Bayes of Grant et al. (2018).

    The parameters are the logarithms of the variances of each weight tensor, [steps] each, and of
    those of the noise, [steps]. Steps beyond the last one that was learned take its variances.

    Args:
        variance: what all variances of weights are at first, a positive number; those of the noise
            are 1.
        steps: how many inner steps have variances of their own.

    Raises:
        ArgumentError: the variance is not a positive finite number; `steps` is not a whole number
            of at least 1; in `initial_state`, the variances were made for another number of
            weights.
    """

    def __init__(self, variance: float, steps: int, **kwargs):
        super().__init__(**kwargs)
        self.variance = check_rate("variance", variance)
        if not isinstance(steps, int) or steps < 1:
            raise ArgumentError("steps", steps, "give a whole number of at least 1.")
        self.steps = steps

    def build(self, shapes):
        first = math.log(self.variance)
        for index in range(len(shapes)):
            self.add_weight(
                name=f"log_variances_{index}",
                shape=(self.steps,),
                # Keras's own constant goes through float32.
                initializer=lambda shape, dtype: keras.ops.full(shape, first, dtype),
            )
        self.add_weight(name="log_noise", shape=(self.steps,), initializer="zeros")
        super().build(shapes)

    def initial_state(self, parameters, weights, seed):
        if len(parameters) != len(weights) + 1:
            raise ArgumentError(
                "weights",
                len(weights),
                f"there are variances for {len(parameters) - 1}; take a new rule.",
            )
        return tf.zeros([], tf.int32)

    def update(
        self,
        parameters: Sequence[tf.Tensor],
        weights: Sequence[tf.Tensor],
        linearised: Linearised,
        state: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """One inner step.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            weights: the tensors to move, of one task.
            linearised: the network at these weights, on the support set.
            state: the number of this step.

        Returns:
            The new weights, and the number of the next step.
        """
        moves = linearised.expected_moves(*self._variances(parameters, state))
        moved = [
            weight + tf.reshape(move, tf.shape(weight))
            for weight, move in zip(weights, moves, strict=True)
        ]
        return moved, state + 1

    def surprise(self, parameters: Sequence[tf.Tensor], linearised: Linearised) -> tf.Tensor:
        """How little the start expects the targets, see `Linearised.surprise`.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            linearised: the network at the start of the task.
        """
        return linearised.surprise(*self._variances(parameters, tf.zeros([], tf.int32)))

    def get_config(self):
        return {**super().get_config(), "variance": self.variance, "steps": self.steps}

    def _variances(self, parameters, step):
        *variances, noise = at_step(step, parameters)
        return variances, noise
