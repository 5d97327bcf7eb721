"""The closed form of standardization against automatic and numerical derivatives, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.layers.standardize import standardize

EPSILON = 1e-3


def points(count, axes):
    """So many of [x, scale, offset], as tensors."""
    random = np.random.default_rng(0)
    shape = [5, 4, 3]
    moments = [1 if axis in axes else size for axis, size in enumerate(shape)]
    shapes = [shape, moments, moments]
    return [[tf.constant(random.normal(size=size)) for size in shapes] for _ in range(count)]


def from_moments(x, axes, epsilon, scale, offset):
    """The same, for TensorFlow to differentiate."""
    centered = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axes, keepdims=True)
    return scale * centered / tf.sqrt(variance + epsilon) + offset


def derivatives(function, axes, point, weights, *directions):
    """sum(weights sin(function(point))), its gradient, and that of each <last, direction>."""
    with tf.GradientTape() as tape:
        tape.watch(point)
        if directions:
            lower = derivatives(function, axes, point, weights, *directions[:-1])
            value = inner(lower[-1], directions[-1])
        else:
            x, scale, offset = point
            value = tf.reduce_sum(weights * tf.sin(function(x, axes, EPSILON, scale, offset)))
            lower = [value]
    return [*lower, tape.gradient(value, point)]


def inner(one, other):
    return tf.add_n([tf.reduce_sum(a * b) for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1, 2]])
def test_three_derivatives_are_those_of_the_moments(axes, compiled):
    def both(point, weights, *directions):
        return [
            derivatives(f, axes, point, weights[0], *directions)
            for f in (standardize, from_moments)
        ]

    closed, automatic = (tf.function(both) if compiled else both)(*points(4, axes))
    for order, (one, other) in enumerate(zip(closed, automatic, strict=True)):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max(), err_msg=order)


def test_third_derivative_is_the_central_difference_of_the_second():
    point, (weights, *_), first, second = points(4, [0])
    length = tf.sqrt(inner(second, second))
    second = [part / length for part in second]
    step = 1e-6

    def hessian_times_first(distance):
        moved = [a + distance * b for a, b in zip(point, second, strict=True)]
        return derivatives(standardize, [0], moved, weights, first)[-1]

    third = derivatives(standardize, [0], point, weights, first, second)[-1]
    for result, ahead, behind in zip(
        third, hessian_times_first(step), hessian_times_first(-step), strict=True
    ):
        expected = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_scale_is_one_and_offset_zero_by_default():
    ((x, scale, offset),) = points(1, [0])

    def value_and_gradient(*arguments):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = standardize(x, [0], EPSILON, *arguments)
        return outputs, tape.gradient(outputs, x, output_gradients=tf.sin(x))

    given = value_and_gradient(tf.ones_like(scale), tf.zeros_like(offset))
    for a, b in zip(value_and_gradient(), given, strict=True):
        np.testing.assert_array_equal(a, b)
