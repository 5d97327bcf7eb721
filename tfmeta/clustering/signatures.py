"""Signatures of tasks: short vectors, near for tasks that are learned alike.

This is what all signatures have in common; the vectors themselves come from the learner.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta.errors import ArgumentError

NAMES = ("gradient", "adapted_weights", "label")

# What a task may be known by before it is learned.
_SEEN = ("support_x", "support_y", "seed", "family")


def seen(tasks: dict[str, Any]) -> dict[str, Any]:
    """The part of tasks that a signature may depend on: not the query sets."""
    return {name: tasks[name] for name in _SEEN if name in tasks}


def shares(vectors: tf.Tensor) -> tf.Tensor:
    """How movements are divided among the weights: the root of each weight's share of the whole.

    The distance between two such vectors is that of Hellinger (1909) between two distributions.
    Nothing is left of the length of a movement, nor of its direction, which says little of the
    kind of a task: it turns round when classes are numbered in another order, and when a function
    is turned upside down.

    Args:
        vectors: [tasks, coordinates].

    Returns:
        [tasks, coordinates], of length 1, or 0 where nothing moves.
    """
    sizes = tf.abs(vectors)
    return tf.sqrt(tf.math.divide_no_nan(sizes, tf.reduce_sum(sizes, axis=1, keepdims=True)))


def project(vectors: tf.Tensor, dims: int, seed: int) -> tf.Tensor:
    """A random projection that keeps distances and angles, the better the more `dims` there are.

    Each coordinate is added, or subtracted, to one of the new ones at random (feature hashing,
    Weinberger et al. 2009): one pass over the vectors, however long. Vectors that are no longer
    than `dims` are filled up with zeros.

    Args:
        vectors: [tasks, coordinates].
        dims: length of the projected vectors.
        seed: of the projection.

    Returns:
        [tasks, dims]
    """
    length = vectors.shape[1]
    if length <= dims:
        return tf.pad(vectors, [[0, 0], [0, dims - length]])
    random = np.random.default_rng(seed)
    places = random.integers(dims, size=length)
    signs = tf.constant(random.choice([-1.0, 1.0], size=length), vectors.dtype)
    return tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(vectors * signs), places, dims))


def label(tasks: dict[str, Any]) -> tf.Tensor:
    """The number of the family that the data gives each task, int32 [tasks, 1].

    Raises:
        ArgumentError: the data gives none.
    """
    if "family" not in tasks:
        raise ArgumentError(
            "clustering",
            "label",
            "the tasks carry no label (`family`); mix data sets, or take another signature.",
        )
    return tasks["family"][:, None]


def of_user(function: Callable[[Any], Any], tasks: dict[str, Any], dims: int) -> tf.Tensor:
    """The signatures that a user's function gives, float64 [tasks, dims].

    Args:
        function: of the tasks without their query sets, as NumPy arrays.
        tasks: with a leading task axis.
        dims: what the function has to give.

    Raises:
        ArgumentError: it gives an array of another shape, or numbers that are not finite. In a
            graph TensorFlow wraps the sentence into an error of its own.
    """
    names = sorted(tasks)

    def call(*values):
        tasks = dict(zip(names, values, strict=True))
        signatures = np.asarray(function(tasks), np.float64)
        expected = (len(values[0]), dims)
        if signatures.shape != expected:
            raise ArgumentError(
                "clustering",
                getattr(function, "__name__", function),
                f"it gives an array of shape {signatures.shape}; expected {expected}: "
                "signature_dims numbers for each task.",
            )
        if not np.isfinite(signatures).all():
            raise ArgumentError(
                "clustering",
                getattr(function, "__name__", function),
                "it gives numbers that are not finite; mend it.",
            )
        return signatures

    values = [tasks[name] for name in names]
    if tf.executing_eagerly():
        return tf.constant(call(*(value.numpy() for value in values)))
    signatures = tf.numpy_function(call, values, tf.float64)
    signatures.set_shape([values[0].shape[0], dims])
    return signatures
