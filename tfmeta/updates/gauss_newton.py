"""Least squares of a linearized network as an inner step, with learned variances."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmeta.checks import check_count, check_positive
from tfmeta.errors import ArgumentError
from tfmeta.updates.arithmetic import at_step
from tfmeta.updates.base import Step, UpdateRule, check_number_of_weights
from tfmeta.updates.linearized import Linearized, linearize


@keras.saving.register_keras_serializable("tfmeta")
class GaussNewton(UpdateRule):
    """theta' = theta + V J^T (J V J^T + s)^-1 (y - f(x)), V and s learned for each inner step.

    The step of Levenberg (1944) and Marquardt (1963) for the squared error of few examples: J is
    the Jacobian of the predictions in the weights. V, the variance of each weight tensor, says how
    freely it moves, and s, the variance of the noise, how closely the targets are met. Those of the
    first step are also the prior of a task's weights about the initial ones: with it, the targets
    of a task have an evidence (`log_evidence`), by which learners tell clusters of tasks apart; a
    prior learned so is the hierarchical Bayes of Grant et al. (2018).

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

    gives_evidence = True

    def __init__(self, variance: float, steps: int, **kwargs):
        super().__init__(**kwargs)
        self.variance = check_positive("variance", variance)
        self.steps = check_count("steps", steps)

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
        check_number_of_weights(weights, len(parameters) - 1, "variances")
        return tf.zeros([], tf.int32)

    def step(self, parameters, objective, weights, state, *, first_order=False):
        linearized, aux = linearize(objective.predict, objective.targets, weights)
        loss = tf.reduce_mean(tf.square(linearized.residuals))
        if first_order:
            linearized = tf.nest.map_structure(tf.stop_gradient, linearized)
        return Step(loss, aux, *self.move(parameters, weights, linearized, state))

    def move(
        self,
        parameters: Sequence[tf.Tensor],
        weights: Sequence[tf.Tensor],
        linearized: Linearized,
        state: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The weights where the linearized network explains the targets best.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            weights: the tensors to move, of one task.
            linearized: the network at these weights, on the support set.
            state: the number of this step.

        Returns:
            The new weights, and the number of the next step.
        """
        moves = linearized.expected_moves(*self._variances(parameters, state))
        moved = [
            weight + tf.reshape(move, tf.shape(weight))
            for weight, move in zip(weights, moves, strict=True)
        ]
        return moved, state + 1

    def check(self, loss):
        loss = keras.losses.get(loss)
        if loss is keras.losses.mean_squared_error or isinstance(
            loss, keras.losses.MeanSquaredError
        ):
            return
        raise ArgumentError(
            "loss",
            getattr(loss, "name", None) or getattr(loss, "__name__", loss),
            "Gauss-Newton steps are those of the mean squared error; compile with mse, or take "
            "another update rule.",
        )

    def log_evidence(self, parameters, objective, weights):
        """See `Linearized.log_evidence`; the prior is that of the first step."""
        linearized, _ = linearize(objective.predict, objective.targets, weights)
        return linearized.log_evidence(*self._variances(parameters, tf.zeros([], tf.int32)))

    def get_config(self):
        return {**super().get_config(), "variance": self.variance, "steps": self.steps}

    def _variances(self, parameters, step):
        *variances, noise = at_step(step, parameters)
        return variances, noise
