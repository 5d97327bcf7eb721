"""Gradient descent with learned rates."""

import keras

from tfmeta.errors import ArgumentError
from tfmeta.updates.arithmetic import check_rate
from tfmeta.updates.base import GradientRule


@keras.saving.register_keras_serializable("tfmeta")
class MetaSGD(GradientRule):
    """theta' = theta - alpha * gradient, with a learned alpha for each coordinate of each weight.

    Li et al. 2017, "Meta-SGD". The parameters are the rates, one tensor for each
    weight, of its shape; nothing keeps them positive, as published.

    Args:
        learning_rate: what all rates are at first, a positive number.

    Raises:
        ArgumentError: the rate is not a positive finite number; in `initial_state`, the rates were
            made for weights of other shapes.
    """

    def __init__(self, learning_rate: float, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = check_rate("learning_rate", learning_rate)

    def build(self, shapes):
        for index, shape in enumerate(shapes):
            self.add_weight(
                name=f"rates_{index}",
                shape=tuple(shape),
                # Keras's own constant goes through float32.
                initializer=lambda shape, dtype: keras.ops.full(shape, self.learning_rate, dtype),
            )
        super().build(shapes)

    def initial_state(self, parameters, weights, seed):
        # Rates of another shape may broadcast, and would then be those of other coordinates.
        shapes = [tuple(weight.shape) for weight in weights]
        if [tuple(rates.shape) for rates in parameters] != shapes:
            raise ArgumentError(
                "weights", shapes, "the rates were made for other shapes; take a new rule."
            )
        return ()

    def update(self, parameters, weights, gradients, state):
        moved = [
            weight - rates * gradient
            for rates, weight, gradient in zip(parameters, weights, gradients, strict=True)
        ]
        return moved, state

    def get_config(self):
        return {**super().get_config(), "learning_rate": self.learning_rate}
