"""Plain gradient descent, the inner rule of MAML."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.updates.update_rule import UpdateRule


@keras.saving.register_keras_serializable("tfmeta")
class GradientDescent(UpdateRule):
    """theta' = theta - alpha * gradient (Finn et al. 2017, equation 1).

    Args:
        learning_rate: alpha, a positive number.

    Raises:
        ArgumentError: the rate is not a positive finite number.
    """

    def __init__(self, learning_rate: float):
        if not (learning_rate > 0 and math.isfinite(learning_rate)):
            raise ArgumentError(
                "inner_learning_rate", learning_rate, "give a positive finite number."
            )
        self.learning_rate = float(learning_rate)

    def initial_state(self, weights: Sequence[tf.Tensor]) -> tuple[()]:
        return ()

    def update(
        self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], state: Any
    ) -> tuple[list[tf.Tensor], Any]:
        moved = [
            weight - self.learning_rate * gradient
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
        return moved, state

    def get_config(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate}
