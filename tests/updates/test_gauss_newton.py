"""Gauss-Newton steps, in the learner that takes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates
from tfmeta.updates.linearized import Linearized


def test_variances_are_those_of_the_tensor_and_of_the_step():
    """One target: a weight moves by V J r / (sum of V J^2 + noise)."""
    rule = updates.GaussNewton(0.5, 2, dtype="float64")
    rule.build([(), ()])
    assert [variable.shape for variable in rule.trainable_variables] == [(2,)] * 3
    np.testing.assert_array_equal(rule.parameters()[0], np.log([0.5, 0.5]))
    np.testing.assert_array_equal(rule.parameters()[2], [0.0, 0.0])
    parameters = [tf.constant(np.log(v)) for v in ([0.5, 1.0], [2.0, 1.0], [0.5, 8.0])]
    jacobian = [tf.constant([[1.0]], tf.float64), tf.constant([[-1.0]], tf.float64)]
    linearized = Linearized(tf.constant([3.0], tf.float64), jacobian)
    weights = [tf.zeros([], tf.float64), tf.zeros([], tf.float64)]
    state = rule.initial_state(parameters, weights, None)
    # The third step takes the variances of the second.
    for expected in ((0.5, -2.0), (0.8, -2.3), (1.1, -2.6)):
        weights, state = rule.move(parameters, weights, linearized, state)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
    # That of the first step: variance 3 of the target, which is 3 off.
    objective = updates.Objective(
        loss=None,
        predict=lambda weights: (tf.reshape(weights[0] - weights[1], [1]), None),
        targets=tf.constant([3.0], tf.float64),
    )
    zeros = [tf.zeros([], tf.float64), tf.zeros([], tf.float64)]
    np.testing.assert_allclose(
        -rule.log_evidence(parameters, objective, zeros),
        (9 / 3 + np.log(2 * np.pi * 3)) / 2,
        rtol=1e-6,
    )


def test_variances_for_other_weights_are_refused():
    rule = updates.GaussNewton(0.5, 1)
    rule.build([(2,)])
    with pytest.raises(tfmeta.ArgumentError, match="weights=2: there are variances for 1"):
        rule.initial_state(rule.parameters(), [tf.zeros([2]), tf.zeros([])], None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"variance": 0.0, "steps": 1}, "variance=0.0: give a positive"),
        ({"variance": 0.1, "steps": 0}, "steps=0: give a whole number"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        updates.GaussNewton(**arguments)


def learner(loss="mse", regularizer=None, **arguments):
    inputs = keras.Input([1])
    x = keras.layers.Dense(8, "tanh", kernel_regularizer=regularizer)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    made = tfmeta.MAML(model, update_rule=updates.GaussNewton(0.1, 2), inner_steps=2, **arguments)
    made.compile(keras.optimizers.Adam(0.01), loss=loss)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        {"vectorized": True},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"first_order": True}, marks=pytest.mark.slow),
    ],
    ids=lambda given: str([*given]),
)
def test_a_learner_trains_with_it(arguments):
    keras.utils.set_random_seed(0)
    made = learner(**arguments)
    source = tfmeta.Sinusoids(5, 5)
    losses = made.fit(source.batches(8, 0, 40), epochs=2, steps_per_epoch=20, verbose=0)
    assert losses.history["loss"][1] < losses.history["loss"][0]
    (tasks,) = source.batches(8, 100, 1)
    _, predictions = made.adapted_predictions(tasks, 2)
    model = made.adapt(tasks["support_x"][3], tasks["support_y"][3])
    np.testing.assert_allclose(model(tasks["query_x"][3]), predictions[3, -1], rtol=1e-3, atol=1e-4)


def test_another_loss_is_refused():
    with pytest.raises(tfmeta.ArgumentError, match="loss=mean_absolute_error: Gauss-Newton steps"):
        learner("mae").fit(tfmeta.Sinusoids(5, 5).batches(2, 0, 1), verbose=0)


def test_regularization_losses_are_refused():
    with pytest.raises(tfmeta.ArgumentError, match="do not see its regularization losses"):
        learner(regularizer="l2").fit(tfmeta.Sinusoids(5, 5).batches(2, 0, 1), verbose=0)
