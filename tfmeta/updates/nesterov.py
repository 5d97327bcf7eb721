"""Gradient descent with Nesterov's momentum."""

import keras

from tfmeta.updates.momentum import Momentum


@keras.saving.register_keras_serializable("tfmeta")
class Nesterov(Momentum):
    """Momentum that steps on from where it is going (Nesterov 1983, Sutskever et al. 2013).

    As `keras.optimizers.SGD` with `nesterov=True`:

        v' = beta v - alpha * gradient
        theta' = theta + beta v' - alpha * gradient

    The state: the velocity v of each weight.

    Args:
        learning_rate: alpha, a positive number.
        momentum: beta, at least 0 and below 1.

    Raises:
        ArgumentError: a number is out of range.
    """

    def update(self, parameters, weights, gradients, state):
        _, velocities = super().update(parameters, weights, gradients, state)
        moved = [
            weight + self.momentum * velocity - self.learning_rate * gradient
            for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True)
        ]
        return moved, velocities
