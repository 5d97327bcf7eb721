"""What every learner needs from Keras: checks on the model, weights for copies."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.layers import inexact_layers


def check(model: keras.Model, second_order: bool) -> None:
    """Refuses a model whose meta-gradient would be wrong.

    Raises:
        ArgumentError: a layer computes in float16; or, with second order, a normalization of
            Keras's own; or there is nothing to train.
    """
    for layer in model._flatten_layers():
        if layer.compute_dtype == "float16":
            raise ArgumentError(
                "model",
                model.name,
                f"its layer {layer.name} computes in float16, whose loss scaling does not pass "
                "through a meta-gradient; use the policy mixed_bfloat16.",
            )
    inexact = inexact_layers(model) if second_order else []
    if inexact:
        raise ArgumentError(
            "model",
            model.name,
            f"the second derivative of its layer {inexact[0].name} "
            f"(keras.layers.{type(inexact[0]).__name__}) is not exact; take the layer of that "
            "name from tfmeta.layers, or pass the model through "
            "tfmeta.layers.with_exact_normalization, or set first_order=True.",
        )
    if model.built and not model.trainable_variables:
        raise ArgumentError("model", model.name, "it has no trainable weights; unfreeze some.")


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
