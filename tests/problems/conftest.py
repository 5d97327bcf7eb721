"""Checks of the derivatives of problems."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.problems.base import ProblemFamily

PROBLEMS = 3
STEP = 1e-5


@pytest.fixture
def check_derivatives():
    """Checks gradient and second derivative, of problems run at once, by central differences.

    The family is in float64. The direction has unit length over all weights of a problem.
    """

    def check(problems: ProblemFamily, tolerance: float = 1e-6) -> None:
        tasks = problems.batch(0, 0, PROBLEMS)
        rng = np.random.default_rng(0)
        directions = [rng.normal(size=tensor.shape) for tensor in tasks["weights"]]
        lengths = np.sqrt(sum((d.reshape(PROBLEMS, -1) ** 2).sum(1) for d in directions))
        directions = [tf.constant(d / lengths.reshape(-1, *[1] * (d.ndim - 1))) for d in directions]

        def derivatives(problem):
            weights, direction, task = problem

            def along(tensors):
                return tf.add_n(
                    [tf.reduce_sum(a * b) for a, b in zip(tensors, direction, strict=True)]
                )

            with tf.GradientTape() as outer:
                outer.watch(weights)
                with tf.GradientTape() as inner:
                    inner.watch(weights)
                    loss = problems.loss(weights, task["data"], task["seed"])
                slope = along(inner.gradient(loss, weights))
            second = outer.gradient(
                slope, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return loss, slope, along(second)

        @tf.function(autograph=False)
        def at(shift):
            weights = [w + shift * d for w, d in zip(tasks["weights"], directions, strict=True)]
            return tf.vectorized_map(
                derivatives, (weights, directions, tasks), fallback_to_while_loop=False
            )

        _, slopes, seconds = at(tf.constant(0.0, tf.float64))
        above, below = at(tf.constant(STEP, tf.float64)), at(tf.constant(-STEP, tf.float64))
        assert slopes.dtype == tf.float64
        for index, exact in ((0, slopes), (1, seconds)):
            estimate = (above[index] - below[index]) / (2 * STEP)
            scale = np.abs(exact).max() + 1e-3
            np.testing.assert_allclose(exact / scale, estimate / scale, rtol=0, atol=tolerance)

    return check
