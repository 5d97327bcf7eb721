"""What every update rule keeps to."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import engine, updates
from tfmeta.inner.loop import inner_step

SHAPES = ((3, 2), (2,), ())
SEED = tf.constant([5, 6])

RULES = {
    "gradient_descent": lambda **dtype: updates.GradientDescent(0.1, **dtype),
    "momentum": lambda **dtype: updates.Momentum(0.1, **dtype),
    "rmsprop": lambda **dtype: updates.RMSprop(0.1, **dtype),
    "adam": lambda **dtype: updates.Adam(0.1, **dtype),
    "meta_sgd": lambda **dtype: updates.MetaSGD(0.1, **dtype),
    "layer_rates": lambda **dtype: updates.LayerRates(0.1, 2, **dtype),
    "lstm": lambda **dtype: updates.CoordinatewiseLSTM(units=3, **dtype),
    "lstm_scaled": lambda **dtype: updates.CoordinatewiseLSTM(units=3, inputs="scaled", **dtype),
    "hierarchical_gru": lambda **dtype: updates.HierarchicalRNN("gru", (3, 4, 5), **dtype),
    "hierarchical_lstm": lambda **dtype: updates.HierarchicalRNN("lstm", (3, 4, 5), **dtype),
}
every_rule = pytest.mark.parametrize("name", RULES)
both_orders = pytest.mark.parametrize("first_order", [False, True], ids=["second", "first"])


def some_rule(name, dtype="float64"):
    """A rule whose every parameter counts."""
    rule = RULES[name](dtype=dtype)
    rule.build(SHAPES)
    random = np.random.default_rng(1)
    for variable in rule.trainable_variables:
        variable.assign_add(0.1 * random.normal(size=variable.shape))
        if variable.name == "rate_offset":
            variable.assign(6.0)  # steps of a size that matters
    return rule


def some_weights(dtype="float64"):
    random = np.random.default_rng(2)
    return [tf.constant(random.normal(size=shape), dtype) for shape in SHAPES]


def some_data(dtype="float64"):
    random = np.random.default_rng(3)
    return tf.constant(random.normal(size=(5, 3)), dtype), tf.constant(random.normal(size=5), dtype)


def loss(weights, data):
    """Of a small network."""
    matrix, vector, scale = weights
    x, y = data
    outputs = tf.reduce_sum(tf.tanh(tf.linalg.matmul(x, matrix) + vector), axis=-1)
    return tf.reduce_mean(tf.square(scale * outputs - y))


def meta_loss(rule, parameters, start, data, first_order=False, steps=3):
    """The sum of the losses along the way."""
    weights, state = start, rule.initial_state(parameters, start, SEED)
    total = 0.0
    for _ in range(steps):
        taken = inner_step(
            lambda weights: (loss(weights, data), None),
            rule,
            parameters,
            weights,
            state,
            first_order,
        )
        total += taken.loss
        weights, state = taken.weights, taken.rule_state
    return total + loss(weights, data)


def recorded_gradients(rule, parameters, weights, data, steps=3):
    """The gradients of the problem along the way, as constants."""
    state, gradients = rule.initial_state(parameters, weights, SEED), []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = loss(weights, data)
        gradients.append(tape.gradient(value, weights))
        weights, state = rule.update(parameters, weights, gradients[-1], state)
    return gradients


def meta_loss_of_recorded(rule, parameters, weights, data, gradients):
    """`meta_loss`, whatever the weights, along recorded gradients."""
    state, total = rule.initial_state(parameters, weights, SEED), loss(weights, data)
    for gradient in gradients:
        weights, state = rule.update(parameters, weights, gradient, state)
        total += loss(weights, data)
    return total


@every_rule
def test_state_keeps_its_structure_shapes_and_dtypes(name):
    for dtype in ("float32", "float64"):
        rule = some_rule(name, dtype)
        weights, data = some_weights(dtype), some_data(dtype)
        parameters = rule.parameters()
        state = rule.initial_state(parameters, weights, SEED)
        gradients = recorded_gradients(rule, parameters, weights, data, steps=1)[0]
        new_weights, new_state = rule.update(parameters, weights, gradients, state)
        tf.nest.assert_same_structure(state, new_state)
        for before, after in zip(
            tf.nest.flatten([weights, state]),
            tf.nest.flatten([new_weights, new_state]),
            strict=True,
        ):
            assert (before.shape, before.dtype) == (after.shape, after.dtype)


@every_rule
@both_orders
def test_meta_gradient_is_the_central_difference(name, first_order):
    rule, data = some_rule(name), some_data()
    parameters, start = rule.parameters(), some_weights()
    learned = [*parameters, *start]
    gradients = recorded_gradients(rule, parameters, start, data)

    def value(learned):
        """The function whose gradient the meta-gradient is to be."""
        parameters, start = learned[: -len(SHAPES)], learned[-len(SHAPES) :]
        if first_order:
            return meta_loss_of_recorded(rule, parameters, start, data, gradients)
        return meta_loss(rule, parameters, start, data)

    with tf.GradientTape() as tape:
        tape.watch(learned)
        total = meta_loss(rule, parameters, start, data, first_order)
    meta_gradient = engine.gradients_of(tape, total, learned)

    # Once along the parameters and once along the start, uphill, lest only rounding be compared.
    random = np.random.default_rng(4)
    parts = [slice(0, -len(SHAPES)), slice(-len(SHAPES), None)]
    for part in parts if parameters else parts[1:]:
        direction = [np.abs(random.normal(size=g.shape)) * np.sign(g) for g in meta_gradient[part]]
        length = np.sqrt(sum(np.sum(d**2) for d in direction))
        direction = [d / length for d in direction]

        def at(distance, part=part, direction=direction):
            moved = list(learned)
            moved[part] = [x + distance * d for x, d in zip(learned[part], direction, strict=True)]
            return value(moved).numpy()

        step = 1e-6
        difference = (at(step) - at(-step)) / (2 * step)
        pairs = zip(meta_gradient[part], direction, strict=True)
        projection = sum(np.sum(g * d) for g, d in pairs)
        assert abs(projection - difference) < 1e-6 * abs(difference)


@every_rule
def test_derivatives_are_finite_where_the_gradient_is_zero_or_its_square_is(name):
    def bowl(weights):
        """Near its minimum, but for the last weight, on which it does not depend."""
        return tf.add_n([tf.reduce_sum(tf.square(weight)) for weight in weights[:-1]]), None

    for dtype, distance in (("float32", 0.0), ("float64", 0.0), ("float32", 1e-25)):
        rule = some_rule(name, dtype)
        parameters = rule.parameters()
        start = [tf.fill(shape, tf.constant(distance, dtype)) for shape in SHAPES]
        with tf.GradientTape() as tape:
            tape.watch([parameters, start])
            weights, state = start, rule.initial_state(parameters, start, SEED)
            for _ in range(2):
                _, _, weights, state = inner_step(bowl, rule, parameters, weights, state, False)
            total = tf.add_n([tf.reduce_sum(weight) for weight in weights])
        for gradient in engine.gradients_of(tape, total, [*parameters, *start]):
            assert np.all(np.isfinite(gradient))


@every_rule
def test_a_rule_is_made_again_from_its_configuration(name):
    rule = some_rule(name)
    saved = json.dumps(keras.saving.serialize_keras_object(rule))
    loaded = keras.saving.deserialize_keras_object(json.loads(saved))
    assert type(loaded) is type(rule)
    assert loaded.get_config() == rule.get_config()
    loaded.set_weights(rule.get_weights())
    weights, data = some_weights(), some_data()
    np.testing.assert_array_equal(
        meta_loss(loaded, loaded.parameters(), weights, data),
        meta_loss(rule, rule.parameters(), weights, data),
    )


@pytest.mark.parametrize("name", ["lstm", "hierarchical_gru", "hierarchical_lstm"])
def test_the_seed_makes_the_first_parameters(name):
    def first_parameters(seed):
        rule = type(RULES[name]()).from_config({**RULES[name]().get_config(), "seed": seed})
        rule.build(SHAPES)
        return rule.get_weights()

    for a, b, c in zip(*map(first_parameters, (1, 1, 2)), strict=True):
        np.testing.assert_array_equal(a, b)
        if len(set(np.ravel(a))) > 3:  # not a constant
            assert not np.any(a == c)
