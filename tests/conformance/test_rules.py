"""What every update rule keeps to, through `step` alone."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import engine
from tfmeta.registry import OPTIMIZERS, RULES
from tfmeta.updates import Objective

SHAPES = ((3, 2), (2,), ())
SEED = tf.constant([5, 6])
STEPS = 3

# What rules are made with that take more, or others, than a learning rate.
VARIANTS = {
    "layer_rates": {"": {"learning_rate": 0.1, "steps": 2}},
    "gauss_newton": {"": {"variance": 0.1, "steps": 2}},
    "lstm": {"": {"units": 3}, " scaled": {"units": 3, "inputs": "scaled"}},
    "hierarchical_rnn": {
        " gru": {"cell": "gru", "sizes": (3, 4, 5)},
        " lstm": {"cell": "lstm", "sizes": (3, 4, 5)},
    },
}
CASES = {
    name + variant: (name, arguments)
    for name in RULES
    for variant, arguments in VARIANTS.get(name, {"": {"learning_rate": 0.1}}).items()
}
# A rule's second variant differs in what no test here looks at; the slow tests have it too.
SECOND = ("lstm scaled", "hierarchical_rnn lstm")
every_rule = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) if case in SECOND else case for case in CASES],
)
both_orders = pytest.mark.parametrize("first_order", [False, True], ids=["second", "first"])


def some_rule(case, dtype="float64", shapes=SHAPES):
    """A rule whose every parameter counts."""
    name, arguments = CASES[case]
    rule = RULES[name](dtype=dtype, **arguments)
    rule.build(shapes)
    random = np.random.default_rng(1)
    for variable in rule.trainable_variables:
        variable.assign_add(0.1 * random.normal(size=variable.shape))
        if variable.name == "rate_offset":
            variable.assign(6.0)  # steps of a size that matters
    return rule


def some_weights(dtype="float64"):
    random = np.random.default_rng(2)
    return [tf.constant(random.normal(size=shape), dtype) for shape in SHAPES]


def regression(dtype="float64"):
    """The mean squared error of a small network."""
    random = np.random.default_rng(3)
    x = tf.constant(random.normal(size=(5, 3)), dtype)
    y = tf.constant(random.normal(size=5), dtype)

    def predict(weights):
        matrix, vector, scale = weights
        outputs = tf.reduce_sum(tf.tanh(tf.linalg.matmul(x, matrix) + vector), axis=-1)
        return scale * outputs, "aux"

    def loss(weights):
        predictions, aux = predict(weights)
        return tf.reduce_mean(tf.square(predictions - y)), aux

    return Objective(loss, predict, y)


def meta_loss(rule, parameters, start, objective, first_order=False):
    """The sum of the losses along the way."""
    weights, state = start, rule.initial_state(parameters, start, SEED)
    total = objective.loss(weights)[0]
    for _ in range(STEPS):
        step = rule.step(parameters, objective, weights, state, first_order=first_order)
        weights, state = step.weights, step.state
        total += objective.loss(weights)[0]
    return total


def expansions(rule, parameters, start, objective):
    """Loss and predictions at each step's weights, and their slopes there, as constants."""
    weights, state = start, rule.initial_state(parameters, start, SEED)
    for _ in range(STEPS):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(weights)
            loss = objective.loss(weights)[0]
            predictions = objective.predict(weights)[0]
        slopes, jacobian = tape.gradient(loss, weights), tape.jacobian(predictions, weights)
        yield loss, slopes, predictions, jacobian
        step = rule.step(parameters, objective, weights, state)
        weights, state = step.weights, step.state


def expansion(center, value, slopes):
    """value + slopes (weights - center), as a function of an objective."""
    center = [tf.identity(tensor) for tensor in center]  # no tape that watches weights knows it

    def of(weights):
        moves = [
            tf.tensordot(slope, weight - middle, middle.ndim)
            for slope, weight, middle in zip(slopes, weights, center, strict=True)
        ]
        return value + tf.add_n(moves), "aux"

    return of


def meta_loss_of_constants(rule, parameters, start, objective, recorded):
    """`meta_loss`, where each step sees the values and the slopes of an expansion.

    That is what first order means: whatever the weights are, a step is computed from constants.
    """
    weights, state = start, rule.initial_state(parameters, start, SEED)
    total = objective.loss(weights)[0]
    for loss, slopes, predictions, jacobian in recorded:
        linear = Objective(
            expansion(weights, loss, slopes),
            expansion(weights, predictions, jacobian),
            objective.targets,
        )
        step = rule.step(parameters, linear, weights, state)
        weights, state = step.weights, step.state
        total += objective.loss(weights)[0]
    return total


@every_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_keeps_structure_shapes_and_dtypes_and_tells_the_loss(case, dtype):
    rule, weights, objective = some_rule(case, dtype), some_weights(dtype), regression(dtype)
    parameters = rule.parameters()
    state = rule.initial_state(parameters, weights, SEED)
    step = rule.step(parameters, objective, weights, state)
    tf.nest.assert_same_structure(state, step.state)
    for before, after in zip(
        tf.nest.flatten([weights, state]),
        tf.nest.flatten([step.weights, step.state]),
        strict=True,
    ):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    np.testing.assert_allclose(step.loss, objective.loss(weights)[0], rtol=1e-5)
    assert step.loss.dtype == dtype and step.aux == "aux"


@every_rule
@both_orders
def test_meta_gradient_is_the_central_difference(case, first_order):
    rule, objective = some_rule(case), regression()
    parameters, start = rule.parameters(), some_weights()
    learned = [*parameters, *start]
    recorded = list(expansions(rule, parameters, start, objective))

    def value(learned):
        """The function whose gradient the meta-gradient is to be."""
        parameters, start = learned[: -len(SHAPES)], learned[-len(SHAPES) :]
        if first_order:
            return meta_loss_of_constants(rule, parameters, start, objective, recorded)
        return meta_loss(rule, parameters, start, objective)

    with tf.GradientTape() as tape:
        tape.watch(learned)
        total = meta_loss(rule, parameters, start, objective, first_order)
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
def test_derivatives_are_finite_where_the_gradient_is_zero_or_its_square_is(case):
    def bowl(dtype):
        """Near its minimum, but for the last weight, on which it does not depend."""

        def predict(weights):
            return tf.concat([tf.reshape(weight, [-1]) for weight in weights[:-1]], 0), None

        def loss(weights):
            return tf.reduce_sum(tf.square(predict(weights)[0])), None

        return Objective(loss, predict, tf.zeros([8], dtype))

    for dtype, distance in (("float32", 0.0), ("float64", 0.0), ("float32", 1e-25)):
        rule = some_rule(case, dtype)
        parameters = rule.parameters()
        start = [tf.fill(shape, tf.constant(distance, dtype)) for shape in SHAPES]
        with tf.GradientTape() as tape:
            tape.watch([parameters, start])
            weights, state = start, rule.initial_state(parameters, start, SEED)
            for _ in range(2):
                _, _, weights, state = rule.step(parameters, bowl(dtype), weights, state)
            total = tf.add_n([tf.reduce_sum(weight) for weight in weights])
        for gradient in engine.gradients_of(tape, total, [*parameters, *start]):
            assert np.all(np.isfinite(gradient))


@every_rule
def test_a_rule_is_made_again_from_its_configuration(case):
    rule = some_rule(case)
    saved = json.dumps(keras.saving.serialize_keras_object(rule))
    loaded = keras.saving.deserialize_keras_object(json.loads(saved))
    assert type(loaded) is type(rule)
    assert loaded.get_config() == rule.get_config()
    loaded.set_weights(rule.get_weights())
    weights, objective = some_weights(), regression()
    np.testing.assert_array_equal(
        meta_loss(loaded, loaded.parameters(), weights, objective),
        meta_loss(rule, rule.parameters(), weights, objective),
    )


@pytest.mark.parametrize("case", [case for case, (name, _) in CASES.items() if name in OPTIMIZERS])
def test_an_optimizer_has_parameters_that_serve_any_weights(case):
    name, arguments = CASES[case]
    rule = RULES[name](dtype="float64", **arguments)
    rule.build([])
    assert rule.trainable_variables
    for weights in (some_weights(), some_weights()[:1]):
        state = rule.initial_state(rule.parameters(), weights, SEED)
        square = Objective(lambda weights: (tf.reduce_sum(tf.square(weights[0])), ()))
        step = rule.step(rule.parameters(), square, weights, state)
        assert np.all(step.weights[0] != weights[0])


@pytest.mark.parametrize("case", [case for case, (name, _) in CASES.items() if name in OPTIMIZERS])
def test_the_seed_makes_the_first_parameters(case):
    name, arguments = CASES[case]

    def first_parameters(seed):
        rule = RULES[name](seed=seed, **arguments)
        rule.build(SHAPES)
        return rule.get_weights()

    for a, b, c in zip(*map(first_parameters, (1, 1, 2)), strict=True):
        np.testing.assert_array_equal(a, b)
        if len(set(np.ravel(a))) > 3:  # not a constant
            assert not np.any(a == c)


@every_rule
def test_what_is_remembered_of_coordinates_without_a_gradient_can_be_kept(case):
    shapes = ((3, 2), (4,))
    rule = some_rule(case, shapes=shapes)
    if not hasattr(rule, "update"):
        return  # it sees more than a gradient, and is no optimizer
    random = np.random.default_rng(3)
    weights, first, second = (
        [tf.constant(random.normal(size=shape)) for shape in shapes] for _ in range(3)
    )
    parameters = rule.parameters()
    state = rule.initial_state(parameters, weights, SEED)
    weights, before = rule.update(parameters, weights, first, state)
    _, after = rule.update(parameters, weights, second, before)
    held = [tf.constant([[True] * 2, [False] * 2, [True] * 2]), tf.constant([False, True] * 2)]
    kept = rule.hold(held, before, after)
    tf.nest.assert_same_structure(kept, after)
    flat = np.concatenate([np.ravel(part) for part in held])
    for old, new, result in zip(*map(tf.nest.flatten, (before, after, kept)), strict=True):
        if new.shape in shapes:
            where = held[shapes.index(new.shape)]
        else:
            where = flat[:, None] if new.shape.rank and len(new) == len(flat) else False
        np.testing.assert_array_equal(result, np.where(where, old, new))


# Many tasks at once.

COUNT = 3


def products(centers):
    """A function of two tensors, [4] and [1]."""

    def predict(weights):
        return tf.concat([weights[0] * weights[1] - centers, 0.3 * weights[0]], 0), ()

    def loss(weights):
        return tf.reduce_sum(tf.square(predict(weights)[0])), ()

    return Objective(loss, predict, tf.zeros([8], tf.float64))


def some_tasks():
    random = np.random.default_rng(0)
    return (
        [tf.constant(random.normal(size=(COUNT, 4))), tf.constant(random.normal(size=(COUNT, 1)))],
        tf.constant(random.normal(size=(COUNT, 4))),
        tf.constant(random.integers(0, 1000, (COUNT, 2), np.int32)),
    )


def with_gradients(rule, tasks, first_order, run):
    """The losses after two steps, and their sum's gradient in all that they come from."""
    parameters = rule.parameters()
    start, centers, _ = tasks

    def of_one(task):
        weights, centers, seed = task
        state, objective = rule.initial_state(parameters, weights, seed), products(centers)
        for _ in range(2):
            _, _, weights, state = rule.step(
                parameters, objective, weights, state, first_order=first_order
            )
        return objective.loss(weights)[0]

    with tf.GradientTape() as tape:
        tape.watch([parameters, start, centers])
        losses = run(of_one, tasks)
    return losses, engine.gradients_of(tape, losses, [*parameters, *start, centers])


def one_by_one(function, tasks):
    each = [tf.nest.map_structure(lambda x, i=i: x[i], tasks) for i in range(COUNT)]
    return tf.stack([function(task) for task in each])


def assert_equal_at_once(case, first_order, compiled):
    rule = some_rule(case, shapes=[(4,), (1,)])
    tasks = some_tasks()
    compute = tf.function(
        lambda: with_gradients(rule, tasks, first_order, engine.vectorize),
        autograph=False,
        jit_compile=compiled,
    )
    tf.nest.map_structure(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12),
        compute(),
        with_gradients(rule, tasks, first_order, one_by_one),
    )


@every_rule
def test_many_tasks_run_at_once(case):
    assert_equal_at_once(case, first_order=False, compiled=False)


@every_rule
@pytest.mark.slow
def test_many_tasks_run_at_once_in_first_order(case):
    assert_equal_at_once(case, first_order=True, compiled=False)


@every_rule
@both_orders
@pytest.mark.slow
def test_many_tasks_run_at_once_compiled(case, first_order):
    assert_equal_at_once(case, first_order, compiled=True)
