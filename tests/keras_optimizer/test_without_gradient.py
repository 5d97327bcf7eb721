"""Weights and rows of embeddings that a batch does not concern neither move nor age."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates
from tfmeta.keras_optimizer import shipped

RULES = {
    "lstm": lambda: updates.CoordinatewiseLSTM(units=3, output_scale=5.0),
    "hierarchical": lambda: updates.HierarchicalRNN("gru", (3, 4, 5)),
    "adam": lambda: updates.Adam(0.1),
    "momentum": lambda: updates.Momentum(0.1),
    **{f"shipped {name}": functools.partial(shipped.load, name) for name in shipped.names()},
}
SETTINGS = {
    "norm": {"clipnorm": 0.1},
    "accumulation": {"gradient_accumulation_steps": 2},
    "scaled": {"loss_scale_factor": 16.0},
}
ROWS, SIZE = 6, 2
LOOKED_UP = [1, 3]
OTHERS = [0, 2, 4, 5]


def network(optimizer, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Embedding(ROWS, SIZE),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=optimizer, loss="mse", **arguments)
    return model


def train(model, rows):
    x = np.array([rows, rows[::-1]])
    model.fit(x, np.ones([2, 1]), epochs=4, batch_size=1, shuffle=False, verbose=0)


def of_each_row(optimizer):
    """What the optimizer has of each row of the table, [rows, ...], by variable."""
    found = {}
    for variable in optimizer.variables:
        value = keras.ops.convert_to_numpy(variable)
        if "rule_state" not in variable.path:
            continue
        if value.shape == (ROWS, SIZE):
            found[variable.path] = value
        elif value.ndim == 2 and len(value) == ROWS * SIZE + 5:  # a row for each coordinate
            found[variable.path] = value[: ROWS * SIZE].reshape(ROWS, -1)
    return found


def assert_others_are_kept(model, optimizer):
    train(model, [0, 2])  # so that there is something to keep
    train(model, [4, 5])
    before, remembered = model.get_weights()[0], of_each_row(optimizer)
    assert remembered
    train(model, LOOKED_UP)
    after, now = model.get_weights()[0], of_each_row(optimizer)
    np.testing.assert_array_equal(after[OTHERS], before[OTHERS])
    assert np.all(after[LOOKED_UP] != before[LOOKED_UP])
    for name in remembered:
        np.testing.assert_array_equal(now[name][OTHERS], remembered[name][OTHERS], err_msg=name)
    assert any(np.all(now[name][LOOKED_UP] != remembered[name][LOOKED_UP]) for name in now)


@pytest.mark.parametrize(
    "name",
    [
        "lstm",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in RULES
            if name.startswith(("hierarchical", "shipped"))
        ),
    ],
)
def test_rows_that_were_not_looked_up_are_kept(name):
    optimizer = tfmeta.LearnedOptimizer(RULES[name]())
    assert_others_are_kept(network(optimizer), optimizer)


@pytest.mark.parametrize(
    "settings", ["accumulation", "scaled", pytest.param("norm", marks=pytest.mark.slow)]
)
def test_with_the_settings_of_keras(settings):
    optimizer = tfmeta.LearnedOptimizer(RULES["lstm"](), **SETTINGS[settings])
    assert_others_are_kept(network(optimizer), optimizer)


@pytest.mark.slow
def test_compiled():
    optimizer = tfmeta.LearnedOptimizer(RULES["lstm"]())
    assert_others_are_kept(network(optimizer, jit_compile=True), optimizer)


def test_with_a_scaled_loss():
    optimizer = tfmeta.LearnedOptimizer(RULES["lstm"]())
    scaled = keras.optimizers.LossScaleOptimizer(optimizer)
    assert_others_are_kept(network(scaled), optimizer)


# Not of the hierarchical RNN, which reads all rows, nor of Adam, which counts all steps.
@pytest.mark.parametrize("name", ["lstm", "momentum"])
def test_a_row_goes_on_as_if_the_steps_without_it_had_not_been(name):
    starts = tf.ones([ROWS, SIZE])
    tables = keras.Variable(starts), keras.Variable(starts)
    rule = RULES[name]()
    optimizers = tfmeta.LearnedOptimizer(rule), tfmeta.LearnedOptimizer(rule)
    for table, optimizer, steps in zip(
        tables, optimizers, ([1, 3, 3, 3, 3, 1], [1, 1]), strict=True
    ):
        for row in steps:
            rows = tf.IndexedSlices(tf.fill([1, SIZE], 0.5), [row], [ROWS, SIZE])
            optimizer.apply_gradients([(rows, table)])
    np.testing.assert_allclose(tables[0][1], tables[1][1], rtol=1e-6)
    assert np.all(tables[0][1] != starts[1])


def test_a_row_looked_up_twice_gets_the_sum_of_its_gradients():
    tables = [keras.Variable(tf.ones([ROWS, SIZE])) for _ in range(2)]
    rule = RULES["lstm"]()
    twice = tf.IndexedSlices(tf.constant([[0.5, 1.0], [1.5, 2.0]]), [1, 1], [ROWS, SIZE])
    once = tf.IndexedSlices(tf.constant([[2.0, 3.0]]), [1], [ROWS, SIZE])
    for table, rows in zip(tables, (twice, once), strict=True):
        tfmeta.LearnedOptimizer(rule, clipnorm=1.0).apply_gradients([(rows, table)])
    np.testing.assert_array_equal(tables[0], tables[1])


@pytest.mark.parametrize("name", RULES)
def test_a_weight_without_a_gradient_is_kept(name):
    optimizer = tfmeta.LearnedOptimizer(RULES[name]())
    table, other = keras.Variable(tf.ones([ROWS, SIZE])), keras.Variable(tf.ones([5]))
    optimizer.build([table, other])
    gradients = tf.fill([ROWS, SIZE], 0.5), tf.fill([5], 0.5)
    optimizer.apply_gradients(zip(gradients, [table, other], strict=True))
    before, remembered = table.numpy(), of_each_row(optimizer)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply_gradients([(None, table), (gradients[1], other)])
    np.testing.assert_array_equal(table, before)
    now = of_each_row(optimizer)
    for variable in remembered:
        np.testing.assert_array_equal(now[variable], remembered[variable])


def test_a_dense_gradient_of_zero_is_a_gradient():
    """The rule was trained on such, and may well move for one."""
    variable = keras.Variable(tf.ones([2, 3]))
    rule = RULES["lstm"]()
    optimizer = tfmeta.LearnedOptimizer(rule)
    optimizer.build([variable])
    state = rule.initial_state(rule.parameters(), [tf.ones([2, 3])], None)
    [expected], rule_state = rule.update(
        rule.parameters(), [tf.ones([2, 3])], [tf.zeros([2, 3])], state
    )
    optimizer.apply_gradients([(tf.zeros([2, 3]), variable)])
    np.testing.assert_allclose(variable, expected, rtol=1e-6)
    for one, other in zip(tf.nest.flatten(rule_state), optimizer.variables[2:], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "hierarchical"])
def test_a_weight_without_elements_is_no_obstacle(name):
    variables = [keras.Variable(tf.ones(shape)) for shape in ((0, 3), (2,))]
    optimizer = tfmeta.LearnedOptimizer(RULES[name]())
    for _ in range(3):
        optimizer.apply([tf.zeros([0, 3]), tf.ones([2])], variables)
    optimizer.finalize_variable_values(variables)
    assert np.isfinite(variables[1]).all() and np.all(variables[1] != 1.0)
