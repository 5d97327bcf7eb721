"""RMSProp."""

import keras
import tensorflow as tf

from tfmeta.updates.arithmetic import check_decay, check_rate, moved_average
from tfmeta.updates.base import GradientRule
from tfmeta.updates.coordinates import held_values


@keras.saving.register_keras_serializable("tfmeta")
class RMSprop(GradientRule):
    """Steps divided by the root of the mean square gradient (Tieleman and Hinton 2012).

    As `keras.optimizers.RMSprop`:

        v' = rho v + (1 - rho) gradient^2
        theta' = theta - alpha * gradient / sqrt(v' + epsilon)

    The state: the mean square v of each weight.

    Args:
        learning_rate: alpha, a positive number.
        rho: at least 0 and below 1.
        epsilon: a positive number.

    Raises:
        ArgumentError: a number is out of range.
    """

    def __init__(self, learning_rate: float, rho: float = 0.9, epsilon: float = 1e-7, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)
        self.rho = check_decay("rho", rho)
        self.epsilon = check_rate("epsilon", epsilon)

    def initial_state(self, parameters, weights, seed):
        return [tf.zeros_like(weight) for weight in weights]

    def update(self, parameters, weights, gradients, state):
        squares = moved_average(self.rho, state, [tf.square(gradient) for gradient in gradients])
        moved = [
            weight - self.learning_rate * gradient / tf.sqrt(square + self.epsilon)
            for weight, gradient, square in zip(weights, gradients, squares, strict=True)
        ]
        return moved, squares

    def hold(self, held, before, after):
        return held_values(held, before, after)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "rho": self.rho,
            "epsilon": self.epsilon,
        }
