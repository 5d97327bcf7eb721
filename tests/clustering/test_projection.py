"""Projections: what is left of a movement of the weights, and what a projection keeps."""

import math

import numpy as np
import tensorflow as tf

from tfmeta.clustering.signatures import projection


def test_shares_are_roots_of_each_weights_part_of_the_whole():
    moved = tf.constant([[1.0, -1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]], tf.float64)
    expected = [[0.5, 0.5, math.sqrt(0.5), 0.0], [0.0] * 4]
    np.testing.assert_allclose(projection.shares(moved), expected, rtol=1e-15)


def test_shares_know_neither_length_nor_sign():
    moved = np.random.default_rng(0).normal(size=[5, 30])
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=[5, 30])
    shares = projection.shares(tf.constant(moved))
    np.testing.assert_allclose(projection.shares(tf.constant(3.0 * signs * moved)), shares)
    np.testing.assert_allclose(tf.norm(shares, axis=1), np.ones(5))


def test_a_projection_keeps_lengths_on_average():
    """The mean square over 400 projections of one vector, within four standard errors."""
    vector = tf.constant(np.random.default_rng(0).normal(size=[1, 1000]))
    squares = [
        float(tf.reduce_sum(tf.square(projection.project(vector, 64, seed)))) for seed in range(400)
    ]
    ratio = np.array(squares) / float(tf.reduce_sum(tf.square(vector)))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))
    assert ratio.std() < 0.25
