"""The list of coordinates, on weights whose coordinates are numbered."""

import numpy as np
import tensorflow as tf

from tfmeta.updates import coordinates

WEIGHTS = [tf.reshape(tf.range(6.0), (2, 3)), tf.constant(6.0), tf.constant([7.0, 8.0])]


def test_join_puts_one_tensor_after_the_other_and_split_undoes_it():
    assert coordinates.count(WEIGHTS) == 9
    flat = coordinates.join(WEIGHTS)
    np.testing.assert_array_equal(flat, np.arange(9.0))
    for part, weight in zip(coordinates.split(flat[:, None], WEIGHTS), WEIGHTS, strict=True):
        np.testing.assert_array_equal(part, weight)
        assert part.shape == weight.shape


def test_means_are_taken_over_each_tensor():
    rows = tf.stack([tf.range(9.0), tf.ones(9)], axis=-1)
    np.testing.assert_array_equal(
        coordinates.means(rows, WEIGHTS), [[2.5, 1.0], [6.0, 1.0], [7.5, 1.0]]
    )


def test_spread_repeats_the_row_of_each_tensor():
    rows = tf.constant([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]])
    expected = [1.0] * 6 + [2.0] + [3.0] * 2
    np.testing.assert_array_equal(
        coordinates.spread(rows, WEIGHTS), np.stack([expected, np.negative(expected)], axis=-1)
    )
