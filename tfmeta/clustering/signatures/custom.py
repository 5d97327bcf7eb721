"""Signature: a function of the user's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta.clustering.signatures.base import Signature
from tfmeta.errors import ArgumentError


class Custom(Signature):
    """What a function gives for the support sets, as NumPy arrays with a leading task axis.

    Args:
        function: maps a dictionary of arrays to an array [tasks, dims].
        dims: what the function has to give.
        seed: ignored.

    Raises:
        ArgumentError: when called, the function gives an array of another shape, or numbers that
            are not finite. In a graph TensorFlow wraps the sentence into an error of its own.
    """

    in_graph = False

    def __init__(self, function: Callable[[dict[str, Any]], Any], dims: int, seed: int):
        super().__init__(dims, seed)
        self.function = function

    def __call__(self, learner, meta, tasks):
        dtype = meta.weights[0].dtype
        names = sorted(tasks)
        values = [tasks[name] for name in names]
        if tf.executing_eagerly():
            arrays = (value.numpy() for value in values)
            return tf.constant(self._checked(names, *arrays), dtype)
        signatures = tf.numpy_function(
            lambda *arrays: self._checked(names, *arrays), values, tf.float64
        )
        signatures.set_shape([values[0].shape[0], self.dims])
        return tf.cast(signatures, dtype)

    def _checked(self, names, *arrays):
        signatures = np.asarray(self.function(dict(zip(names, arrays, strict=True))), np.float64)
        expected = (len(arrays[0]), self.dims)
        name = getattr(self.function, "__name__", self.function)
        if signatures.shape != expected:
            raise ArgumentError(
                "clustering",
                name,
                f"it gives an array of shape {signatures.shape}; expected {expected}: "
                "signature_dims numbers for each task.",
            )
        if not np.isfinite(signatures).all():
            raise ArgumentError(
                "clustering", name, "it gives numbers that are not finite; mend it."
            )
        return signatures
