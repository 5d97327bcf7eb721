"""Adam."""

import keras
import tensorflow as tf

from tfmeta.updates.arithmetic import check_decay, check_rate, moved_average
from tfmeta.updates.base import GradientRule
from tfmeta.updates.coordinates import held_values

# Far below epsilon squared: it changes no step, but keeps the root's derivative finite at zero.
_LEAST_SQUARE = 1e-36


@keras.saving.register_keras_serializable("tfmeta")
class Adam(GradientRule):
    """Adam (Kingma and Ba 2015, the form before section 2.1), as `keras.optimizers.Adam`.

        m' = beta_1 m + (1 - beta_1) gradient
        v' = beta_2 v + (1 - beta_2) gradient^2
        theta' = theta - alpha sqrt(1 - beta_2^t) / (1 - beta_1^t) * m' / (sqrt(v') + epsilon)

    The state: how many steps have been done, a scalar; m and v of each weight.

    Args:
        learning_rate: alpha, a positive number.
        beta_1: at least 0 and below 1.
        beta_2: at least 0 and below 1.
        epsilon: a positive number.

    Raises:
        ArgumentError: a number is out of range.
    """

    def __init__(
        self,
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)
        self.beta_1 = check_decay("beta_1", beta_1)
        self.beta_2 = check_decay("beta_2", beta_2)
        self.epsilon = check_rate("epsilon", epsilon)

    def initial_state(self, parameters, weights, seed):
        zeros = [tf.zeros_like(weight) for weight in weights]
        return tf.zeros([], weights[0].dtype), zeros, list(zeros)

    def update(self, parameters, weights, gradients, state):
        step, means, squares = state
        step = step + 1.0
        means = moved_average(self.beta_1, means, gradients)
        squares = moved_average(self.beta_2, squares, [tf.square(g) for g in gradients])
        unbiased = tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        rate = self.learning_rate * unbiased
        moved = [
            weight - rate * mean / (tf.sqrt(tf.maximum(square, _LEAST_SQUARE)) + self.epsilon)
            for weight, mean, square in zip(weights, means, squares, strict=True)
        ]
        return moved, (step, means, squares)

    def hold(self, held, before, after):
        _, *averages = before
        step, *moved = after
        return step, *(held_values(held, *pair) for pair in zip(averages, moved, strict=True))

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
