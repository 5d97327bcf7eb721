import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.noisy import NoisyGradients
from tfmeta.problems.quadratic import Quadratics
from tfmeta.problems.softmax_regression import SoftmaxRegressions


def derivatives(problems, task, seeds):
    """Loss and gradients with each of the seeds, and the second derivative along ones."""

    def of_one(seed):
        weights = task["weights"]
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                loss = problems.loss(weights, task["data"], seed)
            gradients = inner.gradient(loss, weights)
            slope = tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])
        return loss, gradients, outer.gradient(slope, weights)

    return tf.vectorized_map(of_one, seeds, fallback_to_while_loop=False)


@pytest.mark.parametrize(
    "family", [Quadratics(3, dtype="float64"), SoftmaxRegressions(3, dtype="float64")]
)
def test_the_gradient_alone_has_noise_of_the_deviation_given(family):
    noisy = NoisyGradients(family, 0.5)
    task = tf.nest.map_structure(lambda tensor: tensor[0], noisy.batch(0, 0, 1))
    seeds = tf.random.stateless_uniform([4000, 2], [0, 0], None, None, tf.int32)
    plain_loss, plain_gradients, plain_seconds = derivatives(family, task, seeds)
    loss, gradients, seconds = derivatives(noisy, task, seeds)
    np.testing.assert_array_equal(loss, plain_loss)
    for second, expected in zip(seconds, plain_seconds, strict=True):
        np.testing.assert_allclose(second, expected, atol=1e-12)
    noise = np.concatenate(
        [
            np.reshape(gradient - plain, [4000, -1])
            for gradient, plain in zip(gradients, plain_gradients, strict=True)
        ],
        axis=1,
    )
    # Bounds of 4 standard deviations.
    assert np.all(np.abs(noise.mean(0)) < 4 * 0.5 / np.sqrt(4000))
    assert np.all(np.abs(noise.std(0) - 0.5) < 4 * 0.5 / np.sqrt(2 * 4000))
    correlations = np.corrcoef(noise.T) - np.eye(noise.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)
    again = derivatives(noisy, task, seeds[:3])[1]
    for gradient, expected in zip(again, gradients, strict=True):
        np.testing.assert_allclose(gradient, expected[:3])


def test_all_else_is_as_without_noise():
    family = SoftmaxRegressions(3)
    noisy = NoisyGradients(family, 0.5)
    assert (noisy.name, noisy.metric) == ("noisy_softmax_regression_3", "accuracy")
    task = tf.nest.map_structure(lambda tensor: tensor[0], noisy.batch(0, 0, 1))
    arguments = task["weights"], task["data"]
    for given, expected in zip(
        tf.nest.flatten(noisy.batch(5, 0, 2)), tf.nest.flatten(family.batch(5, 0, 2)), strict=True
    ):
        np.testing.assert_array_equal(given, expected)
    assert noisy.full_loss(*arguments) == family.full_loss(*arguments)
    assert noisy.held_out_loss(*arguments) == family.held_out_loss(*arguments)
    assert noisy.score(*arguments) == family.score(*arguments)


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf")])
def test_the_deviation_is_at_least_0(deviation):
    with pytest.raises(ArgumentError, match="^deviation=.*give a finite number of at least 0"):
        NoisyGradients(Quadratics(), deviation)
