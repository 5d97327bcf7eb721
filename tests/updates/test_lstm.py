"""The coordinatewise LSTM against the equations of its paper, and by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates

SHAPES = ((2, 3), (), (4,))
SEED = tf.constant([0, 0])


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def shown(rule, g):
    """What the LSTM is shown of one gradient."""
    if rule.inputs == "scaled":
        return [rule.input_scale * g]
    if abs(g) >= np.exp(-rule.p):
        return [np.log(abs(g)) / rule.p, np.sign(g)]
    return [-1.0, np.exp(rule.p) * g]


def transcription(rule, parameters, g, state):
    """One step of one coordinate: how far it moves, and its new state."""
    *layers, output_kernel, output_bias = parameters
    signal, new = shown(rule, g), []
    for i, (h, c) in enumerate(state):
        gates = np.concatenate([signal, h]) @ layers[2 * i] + layers[2 * i + 1]
        n = rule.units
        c = sigmoid(gates[n : 2 * n] + 1) * c + sigmoid(gates[:n]) * np.tanh(gates[2 * n : 3 * n])
        signal = sigmoid(gates[3 * n :]) * np.tanh(c)
        new.append([signal, c])
    return rule.output_scale * (signal @ output_kernel + output_bias), new


@pytest.mark.parametrize(
    "arguments", [{"p": 3.0, "output_scale": 0.2}, {"inputs": "scaled", "input_scale": 2.0}]
)
def test_steps_are_those_of_the_equations(arguments):
    random = np.random.default_rng(0)
    rule = updates.CoordinatewiseLSTM(units=4, layers=2, dtype="float64", **arguments)
    rule.build(SHAPES)
    for variable in rule.trainable_variables:
        variable.assign_add(0.5 * random.normal(size=variable.shape))
    parameters = [variable.numpy() for variable in rule.trainable_variables]
    weights = [tf.constant(random.normal(size=shape)) for shape in SHAPES]
    flat = np.concatenate([np.ravel(weight) for weight in weights])
    state = rule.initial_state(rule.parameters(), weights, SEED)
    states = [[[np.zeros(4), np.zeros(4)] for _ in range(2)] for _ in flat]
    for _ in range(4):
        # Sizes on both sides of exp(-p).
        gradients = [
            random.normal(size=shape) * 10.0 ** random.integers(-4, 2, shape) for shape in SHAPES
        ]
        weights, state = rule.update(
            rule.parameters(), weights, [tf.constant(g) for g in gradients], state
        )
        for i, g in enumerate(np.concatenate([np.ravel(g) for g in gradients])):
            step, states[i] = transcription(rule, parameters, g, states[i])
            flat[i] += step.item()
        actual = np.concatenate([np.ravel(weight) for weight in weights])
        np.testing.assert_allclose(actual, flat, rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            np.transpose(state, (2, 0, 1, 3)), np.array(states), rtol=0, atol=1e-10
        )


def test_two_coordinates_by_hand():
    """Two scalars, one unit, p = 1, gradients e and -exp(-2).

    Shown are (1, 1) and, below exp(-1) in size, (-1, -exp(-1)). The kernel's only numbers take the
    first input times log(3) / 2 to g and the second times log(3) to o. From an empty cell, with
    sigmoid(i) = 1/2:

        tanh(g) = tanh(+-log(3) / 2) = +-(3 - 1) / (3 + 1) = +-1/2      so c = +-1/4
        sigmoid(o) = 3 / (3 + 1) = 3/4    and    1 / (1 + 3^(1/e))
        h = 3/4 tanh(1/4)                 and    -tanh(1/4) / (1 + 3^(1/e))

    and the step is 0.1 (2 h + 1).
    """
    rule = updates.CoordinatewiseLSTM(units=1, layers=1, p=1.0, dtype="float64")
    rule.build([(), ()])
    kernel = np.zeros([3, 4])  # rows: the two inputs and h; columns: i, f, g, o
    kernel[0, 2] = math.log(3.0) / 2
    kernel[1, 3] = math.log(3.0)
    rule.set_weights([kernel, np.zeros(4), np.array([[2.0]]), np.array([1.0])])
    weights = [tf.constant(10.0, "double"), tf.constant(20.0, "double")]
    gradients = [tf.constant(math.e, "double"), tf.constant(-math.exp(-2.0), "double")]
    parameters = rule.parameters()
    moved, [[h, c]] = rule.update(
        parameters, weights, gradients, rule.initial_state(parameters, weights, SEED)
    )
    expected = [0.75 * math.tanh(0.25), -math.tanh(0.25) / (1 + 3 ** (1 / math.e))]
    np.testing.assert_allclose(c, [[0.25], [-0.25]], rtol=1e-12)
    np.testing.assert_allclose(h[:, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(moved[0], 10 + 0.1 * (2 * expected[0] + 1), rtol=1e-12)
    np.testing.assert_allclose(moved[1], 20 + 0.1 * (2 * expected[1] + 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("units", 0),
        ("units", 2.5),
        ("layers", -1),
        ("inputs", "sign"),
        ("p", 0.0),
        ("input_scale", float("inf")),
        ("output_scale", float("nan")),
        ("seed", -1),
    ],
)
def test_an_argument_out_of_range_is_named(argument, value):
    with pytest.raises(tfmeta.ArgumentError, match=f"^{argument}="):
        updates.CoordinatewiseLSTM(**{argument: value})
