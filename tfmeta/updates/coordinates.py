"""The weights of a task as one list of coordinates, for rules that treat all alike."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def count(tensors: Sequence[tf.Tensor]) -> int:
    """How many coordinates tensors of known shapes have."""
    return sum(_sizes(tensors))


def join(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """All elements, one tensor after the other: [coordinates]."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def split(flat: tf.Tensor, like: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The inverse of `join`.

    Args:
        flat: as many elements as `like` has.
        like: tensors of the shapes to give back.
    """
    parts = tf.split(tf.reshape(flat, [-1]), _sizes(like))
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, like, strict=True)]


def means(rows: tf.Tensor, like: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean over the coordinates of each tensor, 0 of one that has none: [tensors, features].

    Args:
        rows: [coordinates, features].
        like: the tensors that have these coordinates.
    """
    sizes = _sizes(like)
    return tf.concat(
        [
            tf.reduce_mean(part, axis=0, keepdims=True) if size else tf.zeros_like(rows[:1])
            for part, size in zip(tf.split(rows, sizes), sizes, strict=True)
        ],
        axis=0,
    )


def spread(rows: tf.Tensor, like: Sequence[tf.Tensor]) -> tf.Tensor:
    """A row for each tensor, repeated for all its coordinates: [coordinates, features].

    Args:
        rows: [tensors, features].
        like: the tensors.
    """
    parts = tf.split(rows, len(like))
    features = rows.shape[-1]
    return tf.concat(
        [
            tf.broadcast_to(part, [size, features])
            for part, size in zip(parts, _sizes(like), strict=True)
        ],
        axis=0,
    )


def hold(held: Sequence[tf.Tensor], before: Any, after: Any) -> Any:
    """What a rule remembers after an update, but as before of the coordinates that are held.

    Args:
        held: bool, one of the shape of each weight.
        before: a nest of [coordinates, features].
        after: likewise.
    """
    rows = join(held)[:, None]
    return tf.nest.map_structure(lambda old, new: tf.where(rows, old, new), before, after)


def held_values(
    held: Sequence[tf.Tensor], before: Sequence[tf.Tensor], after: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """As `hold`, of values that have the shapes of the weights."""
    return [tf.where(*values) for values in zip(held, before, after, strict=True)]


def _sizes(tensors: Sequence[tf.Tensor]) -> list[int]:
    return [math.prod(tensor.shape) for tensor in tensors]
