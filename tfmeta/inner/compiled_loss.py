"""The loss that `compile` is given, as a pure function."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

# Keras has no public name for what `compile` makes of a loss.
from keras.src.trainers.compile_utils import CompileLoss


class CompiledLoss:
    """What Keras makes of `loss` and `loss_weights` in `compile`, for use within a task.

    A loss by name, function, object, list or dictionary, weights of examples, and the masks that
    predictions carry mean what they mean in `keras.Model.fit`. The loss of a float64 model is
    computed in float64, unless it is an object of another dtype.

    Args:
        loss: as `compile` takes it.
        loss_weights: likewise.
        output_names: of the model, by which losses and weights may be given.
    """

    def __init__(
        self, loss: Any, loss_weights: Any = None, output_names: Sequence[str] | None = None
    ):
        self._arguments = {
            "loss": loss,
            "loss_weights": loss_weights,
            "output_names": output_names,
        }
        self._compiled: Any = None

    def __call__(self, y: Any, prediction: Any, weight: Any = None) -> tf.Tensor:
        """The loss of some examples, a scalar.

        Args:
            y: their labels, a nest of tensors [examples, ...].
            prediction: a nest of tensors [examples, ...].
            weight: what each example counts, [examples], or a nest of such; None for 1.
        """
        if self._compiled is None:
            self._build(y, prediction)
        # Where there are several outputs Keras keeps the loss of each; a task's own is not kept.
        with keras.StatelessScope():
            return self._compiled(y, prediction, weight)

    def _build(self, y, prediction):
        dtypes = {tensor.dtype for tensor in tf.nest.flatten(prediction)}
        before = keras.config.floatx()
        if tf.float64 in dtypes:
            keras.config.set_floatx("float64")
        try:
            self._compiled = CompileLoss(**self._arguments)
            with tf.init_scope():
                self._compiled(*examples_like((y, prediction), axis=0))
        finally:
            keras.config.set_floatx(before)


def examples_like(tensors: Any, axis: int) -> Any:
    """Zeros of the shapes and dtypes of tensors, with as many examples in each.

    Args:
        tensors: a nest of tensors or specifications, some of which may not know their sizes.
        axis: of the examples.
    """
    leaves = tf.nest.flatten(tensors)
    count = next((leaf.shape[axis] for leaf in leaves if leaf.shape[axis]), 1)
    return tf.nest.map_structure(
        lambda leaf: zeros_like(
            tf.TensorSpec([*leaf.shape[:axis], count, *leaf.shape[axis + 1 :]], leaf.dtype)
        ),
        tensors,
    )


def zeros_like(tensor: Any) -> tf.Tensor:
    """Zeros of the shape and dtype of a tensor or its specification; 1 for unknown sizes."""
    return tf.zeros([size or 1 for size in tensor.shape], tensor.dtype)
