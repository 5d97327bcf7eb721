"""Gradient descent with a learned rate for each weight tensor and each inner step."""

import math

import keras
import tensorflow as tf

from tfmeta.checks import check_count
from tfmeta.updates.arithmetic import at_step, check_rate
from tfmeta.updates.base import GradientRule, check_number_of_weights


@keras.saving.register_keras_serializable("tfmeta")
class LayerRates(GradientRule):
    """theta' = theta - alpha_ls * gradient, alpha_ls learned for weight tensor l and inner step s.

    The per-layer per-step learning rates of MAML++ (Antoniou et al. 2019, section 4). The
    parameters are the logarithms of the rates, [steps] for each weight tensor: so a rate stays
    positive, and an outer step changes it by a share of itself, however small it is. Steps beyond
    the last one that was learned take its rates.

    Args:
        learning_rate: what all rates are at first, a positive number.
        steps: how many inner steps have rates of their own.

    Raises:
        ArgumentError: the rate is not a positive finite number; `steps` is not a whole number of
            at least 1; in `initial_state`, the rates were made for another number of weights.
    """

    def __init__(self, learning_rate: float, steps: int, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)
        self.steps = check_count("steps", steps)

    def build(self, shapes):
        first = math.log(self.learning_rate)
        for index in range(len(shapes)):
            self.add_weight(
                name=f"log_rates_{index}",
                shape=(self.steps,),
                # Keras's own constant goes through float32.
                initializer=lambda shape, dtype: keras.ops.full(shape, first, dtype),
            )
        super().build(shapes)

    def initial_state(self, parameters, weights, seed):
        check_number_of_weights(weights, len(parameters), "rates")
        return tf.zeros([], tf.int32)

    def update(self, parameters, weights, gradients, state):
        rates = at_step(state, parameters)
        moved = [
            weight - rate * gradient
            for rate, weight, gradient in zip(rates, weights, gradients, strict=True)
        ]
        return moved, state + 1

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "steps": self.steps,
        }
