"""What every learner needs from Keras: weights for copies."""

from collections.abc import Sequence

import keras
import tensorflow as tf


def fill(copy: keras.Model, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor]) -> None:
    """Gives a copy of a model other weights and statistics.

    Args:
        copy: the model to fill.
        weights: values of the trainable variables.
        state: values of the others; integers, such as random seeds, are not taken over.
    """
    for variable, value in zip(copy.trainable_variables, weights, strict=True):
        variable.assign(value)
    for variable, value in zip(copy.non_trainable_variables, state, strict=True):
        if value.dtype.is_floating:
            variable.assign(value)
