"""The hand-designed rules against Keras's optimizers, and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates

# All numbers here are exact in float32, in which a Keras optimizer keeps some of its own.
RATE, EPSILON = 0.0625, 2.0**-16

PAIRS = {
    "gradient descent": (updates.GradientDescent(RATE), keras.optimizers.SGD(RATE)),
    "momentum": (updates.Momentum(RATE, momentum=0.75), keras.optimizers.SGD(RATE, momentum=0.75)),
    "nesterov": (
        updates.Nesterov(RATE, momentum=0.75),
        keras.optimizers.SGD(RATE, momentum=0.75, nesterov=True),
    ),
    "rmsprop": (
        updates.RMSprop(RATE, rho=0.75, epsilon=EPSILON),
        keras.optimizers.RMSprop(RATE, rho=0.75, epsilon=EPSILON),
    ),
    "adam": (
        updates.Adam(RATE, beta_1=0.75, beta_2=0.9375, epsilon=EPSILON),
        keras.optimizers.Adam(RATE, beta_1=0.75, beta_2=0.9375, epsilon=EPSILON),
    ),
    "adamw": (
        updates.AdamW(RATE, beta_1=0.75, beta_2=0.9375, epsilon=EPSILON, weight_decay=0.125),
        keras.optimizers.AdamW(
            RATE, beta_1=0.75, beta_2=0.9375, epsilon=EPSILON, weight_decay=0.125
        ),
    ),
}


def gradients_at(weights):
    """Of a loss that is not quadratic; the last coordinate has none."""
    matrix, vector = weights
    return [
        tf.tanh(matrix) + 0.1 * matrix,
        tf.sin(vector) * tf.constant([3.0, 1e-9, 0.0], "double"),
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_goes_where_the_keras_optimizer_goes(name):
    rule, optimizer = PAIRS[name]
    random = np.random.default_rng(0)
    weights = [tf.constant(random.normal(size=shape)) for shape in ((2, 3), (3,))]
    variables = [keras.Variable(weight, dtype="float64") for weight in weights]
    state = rule.initial_state([], weights, tf.constant([0, 0]))
    for _ in range(50):
        weights, state = rule.update([], weights, gradients_at(weights), state)
        optimizer.apply(gradients_at([variable.value for variable in variables]), variables)
    for weight, variable in zip(weights, variables, strict=True):
        np.testing.assert_allclose(weight, variable.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "optimizer", "shared"),
    [
        (updates.RMSprop, keras.optimizers.RMSprop, ["rho", "epsilon"]),
        (updates.Adam, keras.optimizers.Adam, ["beta_1", "beta_2", "epsilon"]),
        (updates.AdamW, keras.optimizers.AdamW, ["beta_1", "beta_2", "epsilon", "weight_decay"]),
    ],
)
def test_defaults_are_those_of_keras(rule, optimizer, shared):
    ours, theirs = rule(RATE).get_config(), optimizer(RATE).get_config()
    assert [ours[name] for name in shared] == [theirs[name] for name in shared]


def test_adamw_without_decay_is_adam():
    weights = [tf.constant([[1.0, -2.0]], "double"), tf.constant([0.5, 3.0, -1.0], "double")]
    rules = updates.Adam(RATE), updates.AdamW(RATE, weight_decay=0.0)
    ours, theirs = (
        rule.update([], weights, gradients_at(weights), rule.initial_state([], weights, None))[0]
        for rule in rules
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_meta_sgd_has_a_rate_for_every_coordinate():
    rule = updates.MetaSGD(0.5, dtype="float64")
    rule.build([(2,), ()])
    assert [variable.shape for variable in rule.trainable_variables] == [(2,), ()]
    np.testing.assert_array_equal(rule.parameters()[0], [0.5, 0.5])
    rates = [tf.constant([0.25, -2.0]), tf.constant(3.0)]
    weights, gradients = [tf.constant([1.0, 1.0]), tf.constant(1.0)], [tf.constant([4.0, 1.0])] * 2
    gradients[1] = tf.constant(-1.0)
    moved, _ = rule.update(rates, weights, gradients, rule.initial_state(rates, weights, None))
    np.testing.assert_array_equal(moved[0], [0.0, 3.0])
    np.testing.assert_array_equal(moved[1], 4.0)


def test_rates_that_would_broadcast_to_other_weights_are_refused():
    rule = updates.MetaSGD(0.5)
    rule.build([(2,)])
    with pytest.raises(tfmeta.ArgumentError, match="rates were made for other shapes"):
        rule.initial_state(rule.parameters(), [tf.zeros([3, 2])], None)


def test_layer_rates_are_those_of_the_tensor_and_of_the_step():
    rule = updates.LayerRates(0.5, 2, dtype="float64")
    rule.build([(2,), ()])
    assert [variable.shape for variable in rule.trainable_variables] == [(2,), (2,)]
    np.testing.assert_array_equal(rule.parameters()[0], np.log([0.5, 0.5]))
    parameters = [tf.math.log([0.5, 2.0]), tf.math.log([1.0, 4.0])]
    weights, gradients = [tf.zeros([2]), tf.zeros([])], [tf.constant([1.0, -1.0]), tf.constant(1.0)]
    state = rule.initial_state(parameters, weights, None)
    # The third step takes the rates of the second.
    for expected in (([-0.5, 0.5], -1.0), ([-2.5, 2.5], -5.0), ([-4.5, 4.5], -9.0)):
        weights, state = rule.update(parameters, weights, gradients, state)
        for weight, value in zip(weights, expected, strict=True):
            np.testing.assert_allclose(weight, value, rtol=1e-6)


def test_layer_rates_for_other_weights_are_refused():
    rule = updates.LayerRates(0.5, 1)
    rule.build([(2,)])
    with pytest.raises(tfmeta.ArgumentError, match="weights=2: there are rates for 1"):
        rule.initial_state(rule.parameters(), [tf.zeros([2]), tf.zeros([])], None)


@pytest.mark.parametrize(
    ("rule", "arguments", "argument"),
    [
        (updates.GradientDescent, {"learning_rate": 0.0}, "learning_rate"),
        (updates.MetaSGD, {"learning_rate": -1.0}, "learning_rate"),
        (updates.LayerRates, {"learning_rate": 0.0, "steps": 1}, "learning_rate"),
        (updates.LayerRates, {"learning_rate": 0.1, "steps": 0}, "steps"),
        (updates.Momentum, {"learning_rate": float("nan")}, "learning_rate"),
        (updates.Momentum, {"learning_rate": 0.1, "momentum": 1.0}, "momentum"),
        (updates.Nesterov, {"learning_rate": 0.1, "momentum": -0.5}, "momentum"),
        (updates.RMSprop, {"learning_rate": float("inf")}, "learning_rate"),
        (updates.RMSprop, {"learning_rate": 0.1, "rho": -0.1}, "rho"),
        (updates.RMSprop, {"learning_rate": 0.1, "epsilon": 0.0}, "epsilon"),
        (updates.Adam, {"learning_rate": -0.1}, "learning_rate"),
        (updates.Adam, {"learning_rate": 0.1, "beta_1": 1.5}, "beta_1"),
        (updates.Adam, {"learning_rate": 0.1, "beta_2": float("nan")}, "beta_2"),
        (updates.Adam, {"learning_rate": 0.1, "epsilon": -1e-8}, "epsilon"),
        (updates.AdamW, {"learning_rate": 0.1, "beta_1": 1.0}, "beta_1"),
        (updates.AdamW, {"learning_rate": 0.1, "weight_decay": -0.1}, "weight_decay"),
        (updates.AdamW, {"learning_rate": 0.1, "weight_decay": float("inf")}, "weight_decay"),
    ],
)
def test_a_number_out_of_range_is_named(rule, arguments, argument):
    with pytest.raises(tfmeta.ArgumentError, match=f"^{argument}="):
        rule(**arguments)
