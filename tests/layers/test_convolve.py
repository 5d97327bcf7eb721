"""Convolution by patches against TensorFlow's own and numerical derivatives, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.layers import convolve as module
from tfmeta.layers.convolve import convolve

# Sizes of the input and of the kernel, strides, padding.
CASES = {
    "few taps": ([5, 7, 8, 3], [3, 3, 3, 4], [1, 1], "SAME"),
    "many taps": ([5, 7, 8, 4], [3, 3, 4, 3], [1, 1], "SAME"),
    "strided": ([9, 9, 10, 4], [3, 3, 4, 3], [2, 2], "SAME"),
    "strided few taps": ([9, 10, 9, 1], [3, 3, 1, 4], [2, 2], "SAME"),
    "valid": ([6, 9, 8, 4], [3, 3, 4, 3], [1, 1], "VALID"),
    "valid few taps": ([20, 8, 9, 1], [3, 3, 1, 2], [2, 2], "VALID"),
    "odd window": ([6, 9, 12, 9], [2, 5, 9, 3], [1, 2], "SAME"),
    "strides beyond the window": ([9, 15, 16, 40], [1, 2, 40, 3], [3, 3], "SAME"),
}


@pytest.fixture(autouse=True)
def always_pays(monkeypatch):
    monkeypatch.setattr(module, "_patches_pay", lambda *_: True)


def points(count, case):
    """So many of [x, kernel], as tensors, and weights of the outputs."""
    random = np.random.default_rng(0)
    *sizes, strides, padding = case
    found = [[tf.constant(random.normal(size=size)) for size in sizes] for _ in range(count)]
    outputs = tf.nn.conv2d(*found[0], strides, padding)
    return found, tf.constant(random.normal(size=outputs.shape))


def derivatives(function, case, weights, point, *directions):
    """sum(weights sin(function(point))), its gradient, and that of each <last, direction>."""
    with tf.GradientTape() as tape:
        tape.watch(point)
        if directions:
            lower = derivatives(function, case, weights, point, *directions[:-1])
            value = inner(lower[-1], directions[-1])
        else:
            value = tf.reduce_sum(weights * tf.sin(function(*point, *case[2:])))
            lower = [value]
    return [*lower, tape.gradient(value, point)]


def inner(one, other):
    return tf.add_n([tf.reduce_sum(a * b) for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("name", CASES)
def test_three_derivatives_are_those_of_tensorflow(name):
    vectors, weights = points(3, CASES[name])

    @tf.function(autograph=False)
    def both(*vectors):
        return [derivatives(f, CASES[name], weights, *vectors) for f in (convolve, tf.nn.conv2d)]

    ours, theirs = both(*vectors)
    for order, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max(), err_msg=order)


@pytest.mark.parametrize("name", ["few taps", "many taps"])
def test_third_derivative_is_the_central_difference_of_the_second(name):
    case = CASES[name]
    (point, first, second), weights = points(3, case)
    length = tf.sqrt(inner(second, second))
    second = [part / length for part in second]
    step = 1e-6

    def hessian_times_first(distance):
        moved = [a + distance * b for a, b in zip(point, second, strict=True)]
        return derivatives(convolve, case, weights, moved, first)[-1]

    third = derivatives(convolve, case, weights, point, first, second)[-1]
    for result, ahead, behind in zip(
        third, hessian_times_first(step), hessian_times_first(-step), strict=True
    ):
        expected = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
