"""What every learner needs from Keras: checks on the model, weights for copies, callbacks."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed
from tfmeta.errors import ArgumentError
from tfmeta.layers import inexact_layers

# Callbacks of Keras that write files, and act on nothing else.
_WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
    keras.callbacks.CSVLogger,
)


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


def for_this_rank(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` or `evaluate` as this rank should take them.

    Raises:
        ArgumentError: a callback that cannot work on several ranks.
    """
    if distributed.size() == 1:
        return kwargs
    callbacks = kwargs.get("callbacks") or []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return kwargs  # the validation of a `fit` whose callbacks have been here already
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ArgumentError(
                "callbacks",
                "BackupAndRestore",
                "it would restore rank 0 alone; use ModelCheckpoint and load the learner instead.",
            )
    if not distributed.is_main():
        callbacks = [c for c in callbacks if not isinstance(c, _WRITERS)]
        kwargs = {**kwargs, "verbose": 0}
    return {**kwargs, "callbacks": callbacks}


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
