"""What one task asks for in one inner step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Weights = list[tf.Tensor]


class Objective(NamedTuple):
    """The objective of one inner step, as functions of a task's weights.

    Attributes:
        loss: maps weights to `(loss, aux)`: the scalar to minimize, and a nest of whatever else it
            computes, such as the state of a model after the call.
        predict: maps weights to `(predictions, aux)`; None for a task that predicts nothing.
        targets: what should be predicted, of the shape of the predictions.
    """

    loss: Callable[[Weights], tuple[tf.Tensor, Any]]
    predict: Callable[[Weights], tuple[tf.Tensor, Any]] | None = None
    targets: Any = None
