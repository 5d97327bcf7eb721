"""Gradient descent with momentum."""

import keras
import tensorflow as tf

from tfmeta.updates.arithmetic import check_decay, check_rate
from tfmeta.updates.base import GradientRule
from tfmeta.updates.coordinates import held_values


@keras.saving.register_keras_serializable("tfmeta")
class Momentum(GradientRule):
    """v' = beta v - alpha * gradient, theta' = theta + v' (Polyak 1964), as `keras.optimizers.SGD`.

    The state: the velocity v of each weight.

    Args:
        learning_rate: alpha, a positive number.
        momentum: beta, at least 0 and below 1.

    Raises:
        ArgumentError: a number is out of range.
    """

    def __init__(self, learning_rate: float, momentum: float = 0.9, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)
        self.momentum = check_decay("momentum", momentum)

    def initial_state(self, parameters, weights, seed):
        return [tf.zeros_like(weight) for weight in weights]

    def update(self, parameters, weights, gradients, state):
        velocities = [
            self.momentum * velocity - self.learning_rate * gradient
            for velocity, gradient in zip(state, gradients, strict=True)
        ]
        moved = [weight + velocity for weight, velocity in zip(weights, velocities, strict=True)]
        return moved, velocities

    def hold(self, held, before, after):
        return held_values(held, before, after)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
        }
