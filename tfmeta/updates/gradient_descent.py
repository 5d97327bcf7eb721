"""Plain gradient descent, the inner rule of MAML."""

import keras

from tfmeta.updates.arithmetic import check_rate
from tfmeta.updates.base import GradientRule


@keras.saving.register_keras_serializable("tfmeta")
class GradientDescent(GradientRule):
    """theta' = theta - alpha * gradient (Finn et al. 2017, equation 1).

    Args:
        learning_rate: alpha, a positive number.

    Raises:
        ArgumentError: the rate is not a positive finite number.
    """

    def __init__(self, learning_rate: float, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)

    def initial_state(self, parameters, weights, seed):
        return ()

    def update(self, parameters, weights, gradients, state):
        moved = [
            weight - self.learning_rate * gradient
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
        return moved, state

    def get_config(self):
        return {**super().get_config(), "learning_rate": self.learning_rate}
