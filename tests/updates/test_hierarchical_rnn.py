"""The hierarchical RNN against the equations of its paper, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import updates
from tfmeta.updates.hierarchical_rnn import HierarchicalState

CELLS = ("gru", "lstm")
SHAPES = ((2, 3), (), (4,))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gru(p, level, x, state, bias):
    """x, the state and the bias are vectors, of one coordinate, tensor or problem."""
    (h,) = state
    n = len(h)
    bias = bias + p[f"{level}_bias"]
    gates = np.concatenate([x, h]) @ p[f"{level}_kernel_0"]
    r = sigmoid(gates[:n] + bias[:n])
    u = sigmoid(gates[n:] + bias[n : 2 * n])
    c = np.tanh(np.concatenate([x, r * h]) @ p[f"{level}_kernel_1"] + bias[2 * n :])
    return [u * h + (1 - u) * c]


def lstm(p, level, x, state, bias):
    h, c = state
    n = len(h)
    gates = np.concatenate([x, h]) @ p[f"{level}_kernel_0"] + bias + p[f"{level}_bias"]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def affine(p, name, x):
    return x @ p[f"{name}_kernel"] + p[f"{name}_bias"]


def transcription(cell, p, weights, gradients, state):
    """One step, coordinate after coordinate; the new weights and state."""
    mean_log_rate = np.mean(state.log_rate)
    start = 0
    moved, coordinates, tensors, rows = [], [], [], []
    for t, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        above = [part[t] for part in state.tensor]
        from_problem = affine(p, "from_problem", state.problem[0][0])
        from_tensor = affine(p, "from_tensor", above[0])
        bias, tensor_bias = from_problem[: len(from_tensor)], from_problem[len(from_tensor) :]
        bias = bias + from_tensor
        outputs, inputs, directions, steps = [], [], [], []
        for i, g in enumerate(np.ravel(gradient), start):
            averages, squares, scaled = np.zeros(4), np.zeros(4), np.zeros(4)
            for k in range(4):
                decay = state.average_decays[i, k]
                averages[k] = (1 - decay) * g + decay * state.averages[i, k]
                decay = state.square_decay[i, 0]
                squares[k] = (1 - decay) * (averages[k] ** 2 + 1e-12) + decay * state.squares[i, k]
                ratio = averages[k] / np.sqrt(squares[k] + 1e-16)
                scaled[k] = np.log(ratio + np.sqrt(1 + ratio**2))
            logs = np.log(squares + 1e-16)
            products = [scaled[0] * scaled[1], scaled[1] * scaled[2], scaled[2] * scaled[3]]
            rate = state.log_rate[i, 0]
            x = np.array([*scaled, *products, *(logs - logs.mean()), rate - mean_log_rate])
            new = cell(p, "coordinate", x, [part[i] for part in state.coordinate], bias)
            h = new[0]
            directions.append(h @ p["direction_kernel"] + scaled @ p["shortcut_kernel"])
            step_rate = np.clip(rate + affine(p, "rate", h), -33, 33)
            steps.append(np.exp(step_rate + p["rate_offset"]))
            keep = sigmoid(p["rate_momentum_logit"])
            decay, square_decay = sigmoid(affine(p, "decays", h))
            rows.append(
                (
                    averages,
                    squares,
                    np.array([decay, decay**0.5, decay**0.25, decay**0.125]),
                    np.array([square_decay]),
                    keep * rate + (1 - keep) * step_rate,
                )
            )
            coordinates.append(new)
            outputs.append(h)
            inputs.append(x)
        start += np.size(gradient)
        x = np.concatenate([np.mean(outputs, axis=0), np.mean(inputs, axis=0)])
        tensors.append(cell(p, "tensor", x, above, tensor_bias))
        length = np.sqrt(np.mean(np.square(directions)) + 1e-16)
        change = np.array(steps) * np.array(directions) / length
        moved.append(weight - np.reshape(change, np.shape(weight)))
    x = np.mean([tensor[0] for tensor in tensors], axis=0)
    problem = cell(p, "problem", x, [part[0] for part in state.problem], 0.0)
    return moved, HierarchicalState(
        [np.stack(part) for part in zip(*coordinates, strict=True)],
        [np.stack(part) for part in zip(*tensors, strict=True)],
        [part[None] for part in problem],
        *(np.stack(part) for part in zip(*rows, strict=True)),
    )


def some_rule(cell, random):
    """A rule with parameters of random size, so that every one of them counts."""
    rule = updates.HierarchicalRNN(cell, sizes=(3, 4, 5), dtype="float64")
    rule.build(SHAPES)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
    return rule, {v.name: v.numpy() for v in rule.trainable_variables}


@pytest.mark.parametrize("cell", CELLS)
def test_steps_are_those_of_the_equations(cell):
    random = np.random.default_rng(0)
    rule, parameters = some_rule(cell, random)
    weights = [random.normal(size=shape) for shape in SHAPES]
    tensors = [tf.constant(weight) for weight in weights]
    state = rule.initial_state(rule.parameters(), tensors, tf.constant([1, 2]))
    expected = tf.nest.map_structure(lambda tensor: tensor.numpy(), state)
    for _ in range(4):
        gradients = [random.normal(size=shape) for shape in SHAPES]
        weights, expected = transcription(
            {"gru": gru, "lstm": lstm}[cell], parameters, weights, gradients, expected
        )
        gradients = [tf.constant(gradient) for gradient in gradients]
        tensors, state = rule.update(rule.parameters(), tensors, gradients, state)
        for actual, value in zip(tensors, weights, strict=True):
            np.testing.assert_allclose(actual, value, rtol=0, atol=1e-10)
        tf.nest.assert_same_structure(state, expected)
        for name, actual, value in zip(state._fields, state, expected, strict=True):
            for a, v in zip(tf.nest.flatten(actual), tf.nest.flatten(value), strict=True):
                assert a.shape == v.shape and a.dtype == tf.float64
                np.testing.assert_allclose(a, v, rtol=0, atol=1e-10, err_msg=name)
