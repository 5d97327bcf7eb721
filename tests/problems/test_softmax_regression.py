import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.softmax_regression import SoftmaxRegressions


def test_derivatives(check_derivatives):
    check_derivatives(SoftmaxRegressions(10, 100, 2.0, dtype="float64"))


def test_samples_can_be_made_within_a_graph():
    problems = SoftmaxRegressions(5)
    made = tf.function(problems.batch)(0, 0, 3)
    for given, expected in zip(*map(tf.nest.flatten, (made, problems.batch(0, 0, 3))), strict=True):
        np.testing.assert_array_equal(given, expected)
    shapes = tf.function(problems.batch).get_concrete_function(0, 0, 3).structured_outputs
    assert shapes["data"]["x"].shape == (3, 700, 5)
    assert shapes["data"]["held_out_y"].shape == (3, 300)


def test_samples_are_split_700_to_300_and_of_two_classes():
    data = SoftmaxRegressions(10, separation=2.0).batch(0, 0, 5)["data"]
    assert data["x"].shape == (5, 700, 10) and data["held_out_x"].shape == (5, 300, 10)
    assert data["y"].dtype == tf.int32
    for name, count in (("y", 700), ("held_out_y", 300)):
        assert data[name].shape == (5, count)
        assert set(np.unique(data[name])) == {0, 1}
        assert np.all(np.abs(np.mean(data[name], axis=1) - 0.5) < 0.12)
    everything = np.concatenate([data["x"], data["held_out_x"]], axis=1)
    assert all(len(np.unique(samples, axis=0)) == 1000 for samples in everything)


def test_losses_and_accuracy_by_hand():
    problems = SoftmaxRegressions(2, batch_size=3, dtype="float64")
    weights = [
        tf.constant([[1.0, -1.0], [0.5, 0.0]], tf.float64),
        tf.constant([0.0, 0.25], tf.float64),
    ]
    x = np.array([[1.0, 2.0], [-1.0, 0.0], [0.0, 4.0]])
    y = np.array([0, 1, 1])
    data = {
        "x": tf.constant(x[:2]),
        "y": tf.constant(y[:2]),
        "held_out_x": tf.constant(x),
        "held_out_y": tf.constant(y),
    }
    # Logits [2, -0.75], [-1, 1.25] and [2, 0.25]; the last sample is of the class less likely.
    losses = np.log1p(np.exp([-2.75, -2.25, 1.75]))
    # Squared lengths 2.25 and 0.0625; the mean of the two, times 1e-3.
    penalty = 1e-3 * (2.25 + 0.0625) / 2
    np.testing.assert_allclose(problems.full_loss(weights, data), losses[:2].mean() + penalty)
    np.testing.assert_allclose(problems.held_out_loss(weights, data), losses.mean())
    np.testing.assert_allclose(problems.score(weights, data), 2 / 3)


def test_batches_come_from_the_seed_and_cover_the_training_samples():
    problems = SoftmaxRegressions(10, batch_size=20, dtype="float64")
    task = tf.nest.map_structure(lambda tensor: tensor[0], problems.batch(0, 0, 1))
    seeds = tf.random.stateless_uniform([400, 2], [0, 0], None, None, tf.int32)

    losses = tf.vectorized_map(
        lambda seed: problems.loss(task["weights"], task["data"], seed), seeds
    ).numpy()
    again = problems.loss(task["weights"], task["data"], seeds[7])
    np.testing.assert_allclose(losses[7], again, rtol=1e-12)
    assert len(np.unique(losses)) == 400
    # The mean over many batches is the loss on all samples.
    full = problems.full_loss(task["weights"], task["data"])
    assert abs(losses.mean() - full) < 4 * losses.std() / np.sqrt(400)


def test_weights_start_as_published():
    # Within a graph, which leaves out the samples that nobody asks for.
    weights = tf.function(lambda: SoftmaxRegressions(100).batch(0, 0, 200)["weights"])
    matrix, bias = weights()
    assert matrix.shape == (200, 100, 2) and bias.shape == (200, 2)
    assert abs(np.std(matrix) - 0.12) < 0.005 and abs(np.std(bias) - 1.2 / np.sqrt(2)) < 0.1


def test_a_solver_finds_what_separation_promises():
    """Training reaches an accuracy on held-out samples that is far from chance."""
    problems = SoftmaxRegressions(10, 100, 2.0)
    tasks = problems.batch(1, 0, 8)

    @tf.function
    def train(weights, task):
        for _ in tf.range(200):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                loss = problems.full_loss(weights, task["data"])
            gradients = tape.gradient(loss, weights)
            weights = [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)]
        return problems.score(weights, task["data"])

    scores = [
        train(*tf.nest.map_structure(lambda t, i=i: t[i], (tasks["weights"], tasks)))
        for i in range(8)
    ]
    assert np.mean(scores) > 0.75


@pytest.mark.parametrize("arguments", [{"features": 0}, {"batch_size": 0}, {"batch_size": 2.5}])
def test_bad_arguments(arguments):
    with pytest.raises(ArgumentError, match="give whole numbers of at least 1"):
        SoftmaxRegressions(**arguments)
