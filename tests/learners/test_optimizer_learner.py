"""The training of an update rule: its meta-gradients, its carried state, its graphs.

The reference is the algorithm of the paper written as a plain loop, one problem after the other,
in float64 (`by_hand`). Derivatives of it are taken as central differences.
"""

import math
import time

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.learners.meta_losses import SumOfLosses
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import Bowls, ProblemFamily, Quadratics
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import CoordinatewiseLSTM, GradientDescent, HierarchicalRNN, MetaSGD

PROBLEMS, STEPS = 2, 3
slow = pytest.mark.slow

RULES = {
    "lstm": lambda dtype: CoordinatewiseLSTM(units=4, layers=1, dtype=dtype),
    "hierarchical gru": lambda dtype: HierarchicalRNN("gru", (3, 4, 5), dtype=dtype),
    "hierarchical lstm": lambda dtype: HierarchicalRNN("lstm", (3, 4, 5), dtype=dtype),
}


def some_rule(name, dtype="float64"):
    """A rule whose parameters are of random size, so that every one of them counts."""
    rule = RULES[name](dtype)
    rule.build([])
    random = np.random.default_rng(0)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
        if variable.name == "rate_offset":
            variable.assign(4.0)  # at first rates are too small for differences to show
    return rule


class Quartics(ProblemFamily):
    """sum (x_i^2 - a_i)^2 + y^2 x_1^2, times a draw of each step; weights x [2] and y []."""

    name = "quartic"

    def __init__(self, seed=0, dtype="float64"):
        super().__init__(seed)
        self.dtype = dtype

    def tasks(self, seeds):
        def draw(number, *shape):
            draws = random_numbers.normal(random_numbers.fold_in(seeds, number), shape)
            return tf.cast(draws, self.dtype)

        return {"weights": [draw(0, 2), draw(1)], "data": draw(2, 2)}

    def loss(self, weights, data, seed):
        draw = random_numbers.uniform(seed, (), 0.5, 1.5)
        return tf.cast(draw, self.dtype) * self.full_loss(weights, data)

    def full_loss(self, weights, data):
        x, y = weights
        return tf.reduce_sum(tf.square(x * x - data)) + tf.square(x[0] * y)


def taken_apart(nest, index):
    return tf.nest.map_structure(lambda tensor: tensor[index], nest)


def by_hand(learner, problems, parameters, tasks, carried, first_step, gradients=None):
    """The meta-loss summed over the problems, where each ends, and the gradients on the way.

    Args:
        gradients: of each problem and step, to take instead of those of the loss.
    """
    total, ends, seen = 0.0, [], []
    for index in range(PROBLEMS):
        task, (weights, state, first_loss) = taken_apart((tasks, carried), index)
        if first_step == 0:  # what is learned of the first state counts too
            state = learner.rule.initial_state(parameters, weights, task["seed"])
        seeds = [
            random_numbers.fold_in(task["seed"], first_step + step + 1) for step in range(STEPS + 1)
        ]
        batch_losses, full_losses = [], []
        for step in range(STEPS):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                loss = problems.loss(weights, task["data"], seeds[step])
            seen.append(tape.gradient(loss, weights))
            gradient = gradients[index * STEPS + step] if gradients else seen[-1]
            weights, state = learner.rule.update(parameters, weights, gradient, state)
            batch_losses.append(loss)
            full_losses.append(problems.full_loss(weights, task["data"]))
        batch_losses.append(problems.loss(weights, task["data"], seeds[STEPS]))
        if isinstance(learner.meta_loss, SumOfLosses):
            total += np.sum(batch_losses)
        else:
            ratios = np.array(full_losses) / (first_loss + 1e-6)
            total += np.mean(np.log(ratios + 1e-6))
        ends.append((weights, state))
    return total, ends, seen


def assert_equal(one, other, tolerance=1e-12):
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        scale = np.abs(b).max() + 1e-300
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance)


def beginning(learner, problems):
    """Problems, and where they stand before the first step."""

    @tf.function(autograph=False)
    def beginning():
        tasks = problems.batch(0, 0, PROBLEMS)
        return tasks, learner.start(problems, tasks)

    return beginning()


def unroll_function(learner, problems, steps):
    """`learner.meta_gradient` as a graph, of problems, where they stand, and the first step."""

    @tf.function(autograph=False)
    def unroll(tasks, carried, first_step):
        return learner.meta_gradient(problems, tasks, carried, first_step, steps)

    return unroll


def assert_is_gradient(gradients, loss_at, parameters):
    """Along one direction: uphill, since one across would compare rounding errors."""
    random = np.random.default_rng(2)
    direction = [np.abs(random.normal(size=g.shape)) * np.sign(g) for g in gradients]
    length = np.sqrt(sum(np.sum(part**2) for part in direction))
    direction = [part / length for part in direction]
    step = 1e-6
    above, below = (
        loss_at([p + distance * part for p, part in zip(parameters, direction, strict=True)])
        for distance in (step, -step)
    )
    projection = sum(np.sum(g * part) for g, part in zip(gradients, direction, strict=True))
    assert projection == pytest.approx((above - below) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "meta_loss", "first_order"),
    [
        ("lstm", "sum", True),
        ("lstm", "log_ratio", False),
        ("hierarchical gru", "log_ratio", False),
        pytest.param("lstm", "sum", False, marks=slow),
        pytest.param("lstm", "log_ratio", True, marks=slow),
        pytest.param("hierarchical gru", "sum", True, marks=slow),
        pytest.param("hierarchical gru", "sum", False, marks=slow),
        pytest.param("hierarchical gru", "log_ratio", True, marks=slow),
        pytest.param("hierarchical lstm", "sum", True, marks=slow),
        pytest.param("hierarchical lstm", "sum", False, marks=slow),
        pytest.param("hierarchical lstm", "log_ratio", True, marks=slow),
        pytest.param("hierarchical lstm", "log_ratio", False, marks=slow),
    ],
)
def test_meta_gradient_is_the_central_difference(rule, meta_loss, first_order):
    """Of a first and of a second unroll; first order means that gradients are constants."""
    problems = Quartics()
    learner = OptimizerLearner(some_rule(rule), meta_loss, first_order)
    parameters = learner.rule.parameters()
    tasks, carried = beginning(learner, problems)
    run = unroll_function(learner, problems, STEPS)
    for first_step in (0, STEPS):
        before, (gradients, unroll) = carried, run(tasks, carried, tf.constant(first_step))
        carried = unroll.carried
        loss, ends, seen = by_hand(learner, problems, parameters, tasks, before, first_step)
        np.testing.assert_allclose(tf.reduce_sum(unroll.losses), loss, rtol=1e-12)
        for index, (weights, state) in enumerate(ends):
            assert_equal(taken_apart(carried.weights, index), weights)
            assert_equal(taken_apart(carried.rule_state, index), state)

        def loss_at(parameters, before=before, first_step=first_step, seen=seen):
            constants = seen if first_order else None
            return by_hand(learner, problems, parameters, tasks, before, first_step, constants)[0]

        assert_is_gradient(gradients, loss_at, parameters)


@pytest.mark.parametrize("first_order", [True, False], ids=["first_order", "second_order"])
def test_meta_gradient_is_that_worked_out_by_hand(first_order):
    """Learned rates a on a bowl of curvature c: x_t = (1 - a c)^t x_0 along each axis.

    The sum of the losses c x_t^2 / 2 has in a the derivative sum c x_t dx_t/da, where dx_t/da is
    -t c (1 - a c)^(t-1) x_0; with constant gradients, -(c x_0 + ... + c x_(t-1)).
    """
    problems = Bowls(5.0, dtype="float64")
    rule = MetaSGD(0.125, dtype="float64")
    rule.build([(2,)])
    learner = OptimizerLearner(rule, "sum", first_order)
    tasks, start = beginning(learner, problems)
    [gradient], unroll = unroll_function(learner, problems, STEPS)(tasks, start, tf.constant(0))

    c, first = np.array([5.0, 1.0]), tasks["weights"][0].numpy()
    shrunk = 1 - 0.125 * c
    x = [shrunk**t * first for t in range(STEPS + 1)]
    np.testing.assert_allclose(unroll.carried.weights[0], x[-1], rtol=1e-12)
    np.testing.assert_allclose(
        tf.reduce_sum(unroll.losses), sum(np.sum(0.5 * c * x**2) for x in x), rtol=1e-12
    )
    expected = 0.0
    for t in range(1, STEPS + 1):
        slope = -sum(c * x[s] for s in range(t)) if first_order else -t * c * x[t - 1]
        expected += np.sum(c * x[t] * slope, axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_two_unrolls_end_where_one_of_twice_the_length_does():
    """And one over the whole training has the gradient of all of it."""
    problems = Quartics()
    learner = OptimizerLearner(some_rule("lstm"), "sum", first_order=False)
    tasks, start = beginning(learner, problems)
    half, whole = (unroll_function(learner, problems, steps) for steps in (STEPS, 2 * STEPS))
    first_gradient, first = half(tasks, start, tf.constant(0))
    second_gradient, second = half(tasks, first.carried, tf.constant(STEPS))
    gradient, unroll = whole(tasks, start, tf.constant(0))
    assert_equal(second.carried, unroll.carried)
    # Truncated, the gradient lacks what the first half does to the second.
    truncated = [a + b for a, b in zip(first_gradient, second_gradient, strict=True)]
    differences = [np.abs(a - b).max() for a, b in zip(truncated, gradient, strict=True)]
    assert max(differences) > 1e-2 * max(np.abs(part).max() for part in gradient)


def of_a_learner(problems, steps=STEPS, rule="lstm", **arguments):
    learner = OptimizerLearner(some_rule(rule, problems.dtype), **arguments)
    tasks, start = beginning(learner, problems)
    return unroll_function(learner, problems, steps)(tasks, start, tf.constant(0))


@pytest.mark.parametrize("meta_loss", [pytest.param("sum", marks=slow), "log_ratio"])
def test_steps_built_into_the_graph_are_those_of_a_loop_of_any_length(meta_loss):
    built = of_a_learner(Quartics(), meta_loss=meta_loss, in_graph=True)
    assert_equal(built, of_a_learner(Quartics(), tf.constant(STEPS), meta_loss=meta_loss))


@pytest.mark.parametrize("rule", ["lstm", pytest.param("hierarchical lstm", marks=slow)])
def test_problems_run_at_once_are_those_run_one_by_one(rule):
    problems = Quartics()
    at_once = of_a_learner(problems, rule=rule, first_order=False)
    one_by_one = of_a_learner(problems, rule=rule, first_order=False, vectorized=False)
    assert_equal(at_once, one_by_one)


@pytest.mark.parametrize(
    ("rule", "in_graph"),
    [
        pytest.param("lstm", False, marks=slow),
        pytest.param("lstm", True, marks=slow),
        pytest.param("hierarchical gru", False, marks=slow),
        pytest.param("hierarchical lstm", False, marks=slow),
    ],
)
def test_xla_computes_what_the_graph_does(rule, in_graph):
    arguments = {"rule": rule, "meta_loss": "log_ratio", "first_order": False}
    compiled = of_a_learner(Quartics(), in_graph=in_graph, xla=True, **arguments)
    assert_equal(compiled, of_a_learner(Quartics(), **arguments), 1e-10)


@slow
@pytest.mark.parametrize("vectorized", [True, False])
def test_xla_compiles_once_however_the_rule_moves(vectorized):
    lengths = Lengths([STEPS], True)
    rule = some_rule("hierarchical gru")
    train = training(
        compiled(
            rule,
            keras.optimizers.SGD(0.1),
            meta_loss="log_ratio",
            vectorized=vectorized,
            xla=True,
        ),
        Quartics(),
    )
    seconds = []
    for step in range(3):
        started = time.perf_counter()
        train(step, lengths)
        seconds.append(time.perf_counter() - started)
    assert max(seconds[1:]) < 0.1 * seconds[0]


def compiled(rule, outer_optimizer, **arguments):
    learner = OptimizerLearner(rule, **arguments)
    learner.compile(outer_optimizer)
    learner.optimizer.build(learner.trainable_variables)
    return learner


def training(learner, problems, count=PROBLEMS):
    """Plain training of a compiled learner."""
    return TruncatedTraining(learner, [problems], EvenSchedule(count))


def test_a_meta_iteration_moves_the_rule_along_the_mean_gradient():
    problems, lengths = Quartics(), Lengths([STEPS], True)
    learner = compiled(some_rule("lstm"), keras.optimizers.SGD(0.5))
    gradients, unroll = of_a_learner(problems)
    before = learner.rule.get_weights()
    loss = training(learner, problems)(0, lengths)
    assert loss == pytest.approx(float(tf.reduce_mean(unroll.losses)), rel=1e-12)
    moved = [
        old - 0.5 * gradient / PROBLEMS for old, gradient in zip(before, gradients, strict=True)
    ]
    assert_equal(learner.rule.get_weights(), moved)


class Valley(ProblemFamily):
    """sum x^2 / 2, where the squares of the second coordinate are too large for a float64."""

    name = "valley"

    def tasks(self, seeds):
        start = tf.constant([[1.0, 1e200]], tf.float64)
        return {"weights": [tf.tile(start, [tf.shape(seeds)[0], 1])], "data": ()}

    def loss(self, weights, data, seed):
        return 0.5 * tf.reduce_sum(tf.square(weights[0]))


def test_elements_of_the_gradient_that_are_not_finite_count_as_zero():
    rule = MetaSGD(0.125, dtype="float64")
    rule.build([(2,)])
    learner = compiled(rule, keras.optimizers.SGD(1.0))
    loss = training(learner, Valley())(0, Lengths([1], True))
    assert math.isnan(loss)
    # x_1 = (1 - a) x_0, so that the loss x_1^2 / 2 has the derivative -(1 - a) x_0^2 in a.
    np.testing.assert_allclose(rule.get_weights()[0], [0.125 + 0.875, 0.125], rtol=1e-12)


class Traced(Quartics):
    """Counts how often its loss is built into a graph."""

    traces = 0

    def loss(self, weights, data, seed):
        self.traces += 1
        return super().loss(weights, data, seed)


@pytest.mark.parametrize(
    "lengths",
    [
        [Lengths([2, 2], True)] * 4,
        [Lengths(steps, False) for steps in ([2, 1], [3], [1, 4, 2], [2])],
    ],
    ids=["fixed", "random"],
)
def test_graphs_are_built_once_for_a_family(lengths):
    problems = Traced()
    train = training(compiled(some_rule("lstm"), keras.optimizers.Adam(1e-3)), problems)
    losses = [train(0, lengths[0])]
    traces = problems.traces
    assert traces > 0
    losses += [train(step, lengths[step]) for step in range(1, 4)]
    assert problems.traces == traces
    assert len(set(losses)) == 4, "the problems are the same every time"


@slow
def test_memory_does_not_grow_with_the_length_of_training():
    families = [Quadratics(5), Quartics(dtype="float32")]
    learner = compiled(some_rule("lstm", "float32"), keras.optimizers.Adam(1e-3))
    trainings = [training(learner, family, 8) for family in families]

    def train(first, last):
        for step in range(first, last):
            steps = np.random.default_rng(step).integers(1, 6, 3)
            lengths = Lengths([int(count) for count in steps], False)
            trainings[step % 2](step, lengths)
        return psutil.Process().memory_info().rss

    before = train(0, 100)
    assert train(100, 600) - before < 10e6


def test_a_saved_learner_goes_on_where_it_was(tmp_path):
    problems, lengths = Quadratics(3), Lengths([2, 2], True)
    learner = compiled(
        CoordinatewiseLSTM(units=3, layers=1), keras.optimizers.Adam(0.01), meta_loss="log_ratio"
    )
    training(learner, problems, 3)(0, lengths)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.meta_loss.floor == 1e-6 and loaded.rule.units == 3
    for one in (learner, loaded):
        training(one, problems, 3)(1, lengths)
    for expected, result in zip(learner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="^meta_loss=last: "):
        OptimizerLearner(CoordinatewiseLSTM(), meta_loss="last")
    with pytest.raises(ArgumentError, match="^rule=GradientDescent: .*learned"):
        OptimizerLearner(GradientDescent(0.1))
