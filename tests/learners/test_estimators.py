"""Estimators of the meta-gradient, beside gradients that are known by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.learners import OptimizerLearner
from tfmeta.learners.estimators import NoiseReuse, TruncatedGradient
from tfmeta.learners.estimators.truncated import clipped
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import Bowls
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import CoordinatewiseLSTM, MetaSGD

CURVATURES = np.array([5.0, 1.0])
RATES = np.array([0.1, 0.3])


def learned_rates(estimator, **arguments):
    """Two learned rates, on bowls whose axes are those of the coordinates."""
    rule = MetaSGD(0.1, dtype="float64")
    rule.build([(2,)])
    [variable] = rule.trainable_variables
    variable.assign(RATES)
    return OptimizerLearner(rule, "sum", first_order=False, estimator=estimator, **arguments)


def unrolls(learner, problems, count, lengths):
    """The starts of problems, and of each unroll the sums of the gradient and of the losses."""

    @tf.function(autograph=False)
    def run():
        tasks = problems.batch(0, 0, count)
        starts = tasks["weights"][0]
        tasks = learner.estimator.copies(tasks)
        carried, found, done = learner.start(problems, tasks), [], 0
        for steps in lengths:
            gradients, unroll = learner.meta_gradient(problems, tasks, carried, done, steps)
            found.append((gradients[0], tf.reduce_sum(unroll.losses)))
            carried, done = unroll.carried, done + steps
        return starts, found

    return run()


def loss_by_hand(rates, starts, first, steps):
    """The sum of c x_t^2 / 2 over t = first, ... first + steps, x_t = (1 - a c)^t x_0."""
    x = [(1 - rates * CURVATURES) ** t * starts for t in range(first, first + steps + 1)]
    return 0.5 * sum(np.sum(CURVATURES * x_t**2, axis=-1) for x_t in x)


def slope_by_hand(starts, steps):
    """The derivative in the rates of the loss of a training of so many steps, from its start."""
    slope = np.zeros_like(starts)
    for t in range(1, steps + 1):
        factor = 1 - RATES * CURVATURES
        slope += CURVATURES * factor**t * starts * -t * CURVATURES * factor ** (t - 1) * starts
    return slope


def test_clipping_bounds_the_gradient_of_each_problem():
    problems = Bowls(5.0, dtype="float64")
    starts, [(whole, loss)] = unrolls(learned_rates(TruncatedGradient()), problems, 6, [2])
    slopes = np.array(slope_by_hand(starts, 2))
    np.testing.assert_allclose(whole, np.sum(slopes, axis=0), rtol=1e-12)
    lengths = np.linalg.norm(slopes, axis=1)
    bound = np.median(lengths)
    _, [(bounded, same)] = unrolls(learned_rates(TruncatedGradient(bound)), problems, 6, [2])
    expected = slopes * np.minimum(1, bound / lengths)[:, None]
    np.testing.assert_allclose(bounded, expected.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(same, loss, rtol=1e-12)


def test_clipping_withstands_what_is_not_finite_and_squares_that_are_not():
    gradients = [
        tf.constant([[3e30, 4e30], [0.3, 0.4], [0.0, 0.0], [np.nan, 3.0]]),
        tf.constant([[[0.0]], [[0.0]], [[0.0]], [[np.inf]]]),
    ]
    first, second = clipped(gradients, 1.0)
    np.testing.assert_allclose(first, [[0.6, 0.8], [0.3, 0.4], [0, 0], [0, 1]], rtol=1e-6)
    np.testing.assert_array_equal(second, np.zeros([4, 1, 1]))


@pytest.mark.parametrize("estimator", [TruncatedGradient(0.5), NoiseReuse(0.1, 2)])
@pytest.mark.parametrize(
    "form",
    [
        {"vectorized": False},
        pytest.param({"in_graph": True}, marks=pytest.mark.slow),
        pytest.param({"xla": True}, marks=pytest.mark.slow),
    ],
)
def test_forms_agree(estimator, form):
    problems = Bowls(5.0, dtype="float64")
    starts, found = unrolls(learned_rates(estimator), problems, 3, [2, 2])
    same, others = unrolls(learned_rates(estimator, **form), problems, 3, [2, 2])
    np.testing.assert_array_equal(starts, same)
    for one, other in zip(found, others, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_noise_reuse_is_unbiased_where_truncation_is_not():
    """Over two unrolls, against the derivative of the whole training.

    The mean over 20 000 pairs lies within four standard errors of it. The loss is a polynomial of
    degree 4 in the rates: smoothed by a deviation of 0.001 its slope changes by parts in a million.
    """
    problems, deviation = Bowls(5.0, dtype="float64"), 0.001
    starts, found = unrolls(learned_rates(NoiseReuse(deviation, 20_000)), problems, 1, [1, 1])
    # The loss after the first unroll is the first of the second too.
    middle = slope_by_hand(starts, 1)
    exact = (slope_by_hand(starts, 2) + middle)[0]
    estimate = sum(gradient for gradient, _ in found)
    # The deviation of e (e . g) in each coordinate: g_i sqrt 2 and |g_j|.
    error = np.sqrt(2 * exact**2 + exact[::-1] ** 2) / np.sqrt(20_000)
    assert (np.abs(estimate - exact) < 4 * error).all()
    _, found = unrolls(learned_rates(TruncatedGradient()), problems, 1, [1, 1])
    truncated = sum(gradient for gradient, _ in found)
    assert (np.abs(truncated - exact) > 40 * error).any()


def test_noise_is_the_same_in_every_unroll_and_that_of_the_problem():
    """Of one pair, the gradient is e times a number: e follows from it but for its length."""
    problems = Bowls(5.0, dtype="float64")
    learner = learned_rates(NoiseReuse(0.1))
    ratios = []
    for first in (0, 1):

        @tf.function(autograph=False)
        def run(first=first):
            tasks = learner.estimator.copies(problems.batch(0, first, first + 1))
            carried = learner.start(problems, tasks)
            gradients = []
            for done in (0, 2):
                (gradient,), unroll = learner.meta_gradient(problems, tasks, carried, done, 2)
                gradients.append(gradient)
                carried = unroll.carried
            return gradients

        one, other = (gradient.numpy() for gradient in run())
        ratios.append(one[0] / one[1])
        assert other[0] / other[1] == pytest.approx(ratios[-1], rel=1e-9)
    assert ratios[0] != pytest.approx(ratios[1], rel=1e-3)


def test_the_pair_says_what_its_losses_differ_by():
    """e follows from the ratio of the gradient's elements and the losses by hand."""
    problems, deviation = Bowls(5.0, dtype="float64"), 0.1
    starts, [(gradient, loss)] = unrolls(learned_rates(NoiseReuse(deviation)), problems, 1, [2])
    seed = problems.batch(0, 0, 1)["seed"]
    seed = random_numbers.fold_in(random_numbers.fold_in(seed, 2**30), 0)
    noise = random_numbers.normal(seed, (2,)).numpy()[0]
    above, below = (
        loss_by_hand(RATES + sign * deviation * noise, starts, 0, 2)[0] for sign in (1, -1)
    )
    np.testing.assert_allclose(gradient, noise * (above - below) / (2 * deviation), rtol=1e-10)
    np.testing.assert_allclose(loss, (above + below) / 2, rtol=1e-12)


def test_nothing_is_kept_of_the_steps_of_an_unroll():
    """Memory is constant in the length of an unroll: no loop has a stack of what it computed."""

    def stacks(estimator):
        problems = Bowls(5.0, dtype="float64")
        learner = learned_rates(estimator)

        @tf.function(autograph=False)
        def run(steps):
            tasks = learner.estimator.copies(problems.batch(0, 0, 2))
            return learner.meta_gradient(problems, tasks, learner.start(problems, tasks), 0, steps)

        graph = run.get_concrete_function(tf.TensorSpec([], tf.int32)).graph
        functions = graph.as_graph_def().library.function
        return sum("PushBack" in node.op for f in functions for node in f.node_def)

    assert stacks(NoiseReuse()) == 0 < stacks(TruncatedGradient())


@pytest.mark.parametrize(
    "estimator", [TruncatedGradient(0.5), pytest.param(NoiseReuse(0.1, 2), marks=pytest.mark.slow)]
)
def test_a_saved_learner_has_its_estimator(estimator, tmp_path):
    rule = CoordinatewiseLSTM(units=3, layers=1)
    learner = OptimizerLearner(rule, "log_ratio", first_order=False, estimator=estimator)
    learner.compile(keras.optimizers.Adam(0.01))
    problems, lengths = Bowls(), Lengths([2, 2], True)

    def train(learner, step):
        TruncatedTraining(learner, [problems], EvenSchedule(3))(step, lengths)

    train(learner, 0)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.estimator.get_config() == estimator.get_config()
    for one in (learner, loaded):
        train(one, 1)
    for expected, result in zip(learner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_copies_that_do_not_fit_in_memory_are_refused_before_they_are_made():
    """A hundred million pairs of two weights and 160 numbers that the LSTM remembers of them."""
    learner = OptimizerLearner(CoordinatewiseLSTM(), estimator=NoiseReuse(noise_pairs=10**8))
    learner.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ArgumentError, match=r"^problems=3: .*\d [GT]B.*available; give fewer"):
        TruncatedTraining(learner, [Bowls()], EvenSchedule(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TruncatedGradient(0.0), "^problem_clip=0.0: "),
        (lambda: NoiseReuse(noise=-1.0), "^noise=-1.0: "),
        (lambda: NoiseReuse(noise_pairs=0), "^noise_pairs=0: "),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
