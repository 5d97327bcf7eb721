"""The hierarchical RNN against the equations of its paper, and by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfmeta
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


def rule_by_hand(cell, parameters):
    """A rule of one unit a level whose parameters are zero but for those given."""
    rule = updates.HierarchicalRNN(cell, sizes=(1, 1, 1), dtype="float64")
    rule.build([(), ()])
    for variable in rule.trainable_variables:
        value = np.zeros(variable.shape)
        for place, number in parameters.get(variable.name, {}).items():
            value[place] = number
        variable.assign(value)
    return rule


LOG2, LOG3 = math.log(2.0), math.log(3.0)

# Common to both cells: the decays of the state below are all 1/2, so that gradients of +-3 and
# averages of +-1 give averages of +-2, whose squares, 4, are the mean squares before and after:
# the scaled averages are +-asinh(1) = +-0.88. A tensor of one coordinate has a direction of +-1;
# here it has the sign of h +- 0.88, which is that of the gradient.
READOUT = {
    "direction_kernel": {(0, 0): 1.0},
    "shortcut_kernel": {(0, 0): 1.0},
    # sigmoid(-log 15) = 1/16, sigmoid(log 3) = 3/4
    "decays_bias": {0: -math.log(15.0), 1: LOG3},
    "rate_momentum_logit": {(): LOG3},
}


def one_step(rule, coordinate, tensor, problem, log_rate):
    """From the weights 10 and 10 along the gradients 3 and -3; the new weights and state."""
    ones = np.ones((2, 4))
    sides = np.array([[1.0], [-1.0]])
    state = HierarchicalState(
        *([np.reshape(part, (-1, 1)) for part in parts] for parts in (coordinate, tensor, problem)),
        averages=ones * sides,
        squares=4 * ones,
        average_decays=ones / 2,
        square_decay=np.full((2, 1), 0.5),
        log_rate=np.reshape(log_rate, (2, 1)),
    )
    state = tf.nest.map_structure(tf.constant, state)
    weights, gradients = (tf.unstack(tf.constant(x, "double")) for x in ([10, 10], [3, -3]))
    moved, state = rule.update(rule.parameters(), weights, gradients, state)
    np.testing.assert_allclose(state.averages, 2 * ones * sides, rtol=1e-12)
    np.testing.assert_allclose(state.squares, 4 * ones, rtol=1e-12)
    np.testing.assert_allclose(
        state.average_decays, [[1 / 16, 1 / 4, 1 / 2, 2**-0.5]] * 2, rtol=1e-12
    )
    np.testing.assert_allclose(state.square_decay, [[0.75], [0.75]], rtol=1e-12)
    return moved, state


def assert_state(parts, expected):
    for part, numbers in zip(parts, expected, strict=True):
        np.testing.assert_allclose(part[:, 0], numbers, rtol=1e-12)


def test_two_coordinates_by_hand_with_gru_cells():
    """The states are 1 and 1, +-log(3) / 2, and log 3; tanh(n log(3) / 2) = (3^n - 1) / (3^n + 1).

    Coordinates: the problem biases r, sigmoid(log 3) = 3/4, and a tensor biases c:

        c = tanh(3/4 * 2/3 log(3) * 1 +- log(3) / 2) = tanh(log 3) = 4/5    and    tanh(0) = 0
        u = 1/2,    h = (1 + c) / 2 = 9/10    and    1/2
        step log rate = -8 log 2 + 10 log(2) h = log 2    and    -5 log 2 + 5 log 2 = 0

    so the weights move by -2 and +1; the log rates go a quarter of the way to the step's.

    Tensors: the problem biases u, 3/4, and c reads the mean of h:

        c = tanh(5 log(3) h) = (3^9 - 1) / (3^9 + 1) = 9841/9842    and    (3^5 - 1) / (3^5 + 1)

    Problem: u = 1/2 and c = tanh(mean of the new tensor states).
    """
    rule = rule_by_hand(
        "gru",
        {
            **READOUT,
            "coordinate_kernel_1": {(12, 0): 2 / 3 * LOG3},  # of r h
            "tensor_kernel_1": {(0, 0): 5 * LOG3},  # of the mean of h
            "problem_kernel_1": {(0, 0): 1.0},
            "from_tensor_kernel": {(0, 2): 1.0},  # r, u, c
            "from_problem_kernel": {(0, 0): 1.0, (0, 4): 1.0},  # r, u, c of both levels below
            "rate_kernel": {(0, 0): 10 * LOG2},
        },
    )
    moved, state = one_step(
        rule,
        coordinate=[[1.0, 1.0]],
        tensor=[[LOG3 / 2, -LOG3 / 2]],
        problem=[[LOG3]],
        log_rate=[-8 * LOG2, -5 * LOG2],
    )
    np.testing.assert_allclose(moved, [8.0, 11.0], rtol=1e-12)
    assert_state([state.log_rate], [[-23 / 4 * LOG2, -15 / 4 * LOG2]])
    assert_state(state.coordinate, [[9 / 10, 1 / 2]])
    tensors = [9841 / 9842 / 4 + 3 / 8 * LOG3, 121 / 122 / 4 - 3 / 8 * LOG3]
    assert_state(state.tensor, [tensors])
    mean = (9841 / 9842 + 121 / 122) / 8
    assert_state(state.problem, [[LOG3 / 2 + math.tanh(mean) / 2]])


def test_two_coordinates_by_hand_with_lstm_cells():
    """A bias of -1 makes every forget gate 1/2; the outputs are 1 and 1, +-log(3) / 2, log(3) / 2.

    Coordinates: a tensor and the problem bias g, the gates are 1/2:

        g = log(3) / 2 +- log(3) / 2 = log 3    and    0,    tanh(g) = 4/5    and    0
        c = (2 log 3 - 4/5) / 2 + 4/5 / 2 = log 3    and    log(3) / 2 + 0
        h = tanh(c) / 2 = 2/5    and    1/4
        step log rate = -7 log 2 + 20 log(2) h = log 2    and    -5 log 2 + 5 log 2 = 0

    so the weights move by -2 and +1; the log rates go a quarter of the way to the step's.

    Tensors: the problem biases i, sigmoid(2 log(3) / 2) = 3/4, and g reads the mean of h:

        tanh(10 log(3) h) = (3^8 - 1) / (3^8 + 1) = 3280/3281    and    (3^5 - 1) / (3^5 + 1)
        c = 0 / 2 + 3/4 tanh(g),    h = tanh(c) / 2

    Problem: c = 1/2 + tanh(mean of the new outputs of the tensors) / 2, h = tanh(c) / 2.
    """
    rule = rule_by_hand(
        "lstm",
        {
            **READOUT,
            **{f"{level}_bias": {1: -1.0} for level in ("coordinate", "tensor", "problem")},
            "tensor_kernel_0": {(0, 2): 10 * LOG3},  # of the mean of h, to g
            "problem_kernel_0": {(0, 2): 1.0},
            "from_tensor_kernel": {(0, 2): 1.0},  # i, f, g, o
            "from_problem_kernel": {(0, 2): 1.0, (0, 4): 2.0},  # i, f, g, o of both levels below
            "rate_kernel": {(0, 0): 20 * LOG2},
        },
    )
    moved, state = one_step(
        rule,
        coordinate=[[1.0, 1.0], [2 * LOG3 - 4 / 5, LOG3]],
        tensor=[[LOG3 / 2, -LOG3 / 2], [0.0, 0.0]],
        problem=[[LOG3 / 2], [1.0]],
        log_rate=[-7 * LOG2, -5 * LOG2],
    )
    np.testing.assert_allclose(moved, [8.0, 11.0], rtol=1e-12)
    assert_state([state.log_rate], [[-20 / 4 * LOG2, -15 / 4 * LOG2]])
    assert_state(state.coordinate, [[2 / 5, 1 / 4], [LOG3, LOG3 / 2]])
    cells = [3 / 4 * 3280 / 3281, 3 / 4 * 121 / 122]
    outputs = [math.tanh(c) / 2 for c in cells]
    assert_state(state.tensor, [outputs, cells])
    problem = 1 / 2 + math.tanh(sum(outputs) / 2) / 2
    assert_state(state.problem, [[math.tanh(problem) / 2], [problem]])


@pytest.mark.parametrize("cell", CELLS)
def test_first_state(cell):
    rule = updates.HierarchicalRNN(cell)
    rule.build([])
    weights = [tf.zeros([200]), tf.zeros([10, 30]), tf.zeros([])]
    state = rule.initial_state(rule.parameters(), weights, tf.constant([3, 4]))
    states = {"gru": 1, "lstm": 2}[cell]
    assert [part.shape for part in state.coordinate] == [(501, 10)] * states
    assert [part.shape for part in state.tensor] == [(3, 20)] * states
    assert [part.shape for part in state.problem] == [(1, 20)] * states
    assert {part.dtype for part in tf.nest.flatten(state)} == {tf.float32}
    # Learned, and the same for all coordinates, all tensors.
    p = {v.name: v.numpy() for v in rule.trainable_variables}
    np.testing.assert_array_equal(state.coordinate[-1][7], p[f"coordinate_start_{states - 1}"][0])
    np.testing.assert_array_equal(state.tensor[0][2], p["tensor_start_0"][0])
    for part in (state.averages, state.squares, state.average_decays, state.square_decay):
        assert not part.numpy().any()


def test_first_rates_are_random_between_1e_6_and_1e_2_with_a_part_for_each_tensor():
    rule = updates.HierarchicalRNN()
    rule.build([])

    def log_rates(seed):
        weights = [tf.zeros([1000]) for _ in range(300)]
        state = rule.initial_state(rule.parameters(), weights, tf.constant(seed))
        return state.log_rate.numpy().reshape(300, 1000)

    rates = log_rates([3, 4])
    np.testing.assert_array_equal(rates, log_rates([3, 4]))
    assert not np.any(rates == log_rates([3, 5]))
    assert math.log(1e-6) < rates.min() and rates.max() < math.log(1e-2)
    # A half that is uniform over the half range has a standard deviation of range / 2 / sqrt(12).
    half = math.log(1e-2 / 1e-6) / 2 / math.sqrt(12)
    assert abs(np.mean(np.std(rates, axis=1)) / half - 1) < 0.01
    assert abs(np.std(np.mean(rates, axis=1)) / half - 1) < 0.1
    assert abs(np.mean(rates) - math.log(1e-4)) < 4 * half / math.sqrt(300)


def test_kernels_of_more_inputs_than_first_width_start_at_lower_rates():
    shapes = [(4, 16, 3), (8, 5), (64,), ()]

    def log_rates(**settings):
        rule = updates.HierarchicalRNN(**settings)
        rule.build([])
        weights = [tf.zeros(shape) for shape in shapes]
        state = rule.initial_state(rule.parameters(), weights, tf.constant([3, 4]))
        return np.split(state.log_rate.numpy()[:, 0], np.cumsum([192, 40, 64]))

    kernel, *others = log_rates(first_width=8)
    alike, *same = log_rates()
    np.testing.assert_allclose(kernel, alike + math.log(8 / 64), rtol=1e-6)
    for one, other in zip(others, same, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rates_stay_within_their_limit_and_are_learned_there():
    rule = rule_by_hand("gru", {"shortcut_kernel": {(0, 0): 1.0}, "rate_bias": {0: 60.0}})
    with tf.GradientTape() as tape:
        parameters = rule.parameters()
        tape.watch(parameters)
        weights = [tf.constant(0.0, "double"), tf.constant(0.0, "double")]
        state = rule.initial_state(parameters, weights, tf.constant([0, 0]))
        gradients = [tf.constant(1.0, "double"), tf.constant(-1.0, "double")]
        moved, state = rule.update(parameters, weights, gradients, state)
    np.testing.assert_allclose(moved, [-math.exp(33.0), math.exp(33.0)], rtol=1e-12)
    assert np.max(state.log_rate) < 33
    bias = [v.name for v in rule.trainable_variables].index("rate_bias")
    # The derivative of -exp(log rate).
    np.testing.assert_allclose(tape.gradient(moved[0], parameters)[bias], moved[0:1], rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_all_sizes_give_finite_numbers_in_float32(cell):
    rule = updates.HierarchicalRNN(cell)
    rule.build([])
    sizes = [0.0, 1e-38, 1e-20, 1e-12, 1e-6, 1.0, 1e6, 1e12, 1e18]
    gradients = [tf.constant(sizes), tf.constant([-size for size in sizes]), tf.zeros([2])]
    with tf.GradientTape() as tape:
        parameters = rule.parameters()
        tape.watch([parameters, gradients])
        weights = [tf.zeros_like(gradient) for gradient in gradients]
        state = rule.initial_state(parameters, weights, tf.constant([0, 0]))
        for sign in (1.0, -1.0, 0.0, 1.0):
            now = [sign * gradient for gradient in gradients]
            weights, state = rule.update(parameters, weights, now, state)
        total = tf.add_n([tf.reduce_sum(part) for part in tf.nest.flatten([weights, state[:3]])])
    for part in tf.nest.flatten([weights, state, tape.gradient(total, [parameters, gradients])]):
        assert np.all(np.isfinite(part))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("cell", "rnn"),
        ("cell", ["gru"]),
        ("sizes", 5),
        ("sizes", (10, 20)),
        ("sizes", (10, 0, 20)),
        ("sizes", (10, 20.0, 20)),
        ("first_rates", 5),
        ("first_rates", None),
        ("first_rates", (1e-3,)),
        ("first_width", 0),
        ("first_width", 8.0),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_an_argument_out_of_range_is_named(argument, value):
    with pytest.raises(tfmeta.ArgumentError, match=f"^{argument}="):
        updates.HierarchicalRNN(**{argument: value})
