"""Adam with decoupled weight decay."""

import keras
import tensorflow as tf

from tfmeta.checks import check_at_least_zero
from tfmeta.updates.adam import Adam


@keras.saving.register_keras_serializable("tfmeta")
class AdamW(Adam):
    """Adam that first shrinks the weights (Loshchilov and Hutter 2019).

    As `keras.optimizers.AdamW`: a step of Adam, with the gradient at theta, from

        theta - alpha * weight_decay * theta

    Args:
        learning_rate: alpha, a positive number.
        beta_1: at least 0 and below 1.
        beta_2: at least 0 and below 1.
        epsilon: a positive number.
        weight_decay: at least 0.

    Raises:
        ArgumentError: a number is out of range.
    """

    def __init__(
        self,
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float = 0.004,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        if not tf.is_tensor(weight_decay):
            weight_decay = check_at_least_zero("weight_decay", weight_decay)
        self.weight_decay = weight_decay

    def update(self, parameters, weights, gradients, state):
        kept = 1.0 - self.learning_rate * self.weight_decay
        return super().update(parameters, [kept * w for w in weights], gradients, state)

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.weight_decay}
