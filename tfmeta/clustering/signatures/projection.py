"""Movements of weights as short vectors."""

import numpy as np
import tensorflow as tf


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
