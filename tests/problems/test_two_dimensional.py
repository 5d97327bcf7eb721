import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.two_dimensional import FUNCTIONS, TwoDimensionalFunctions

# Where the minima are, and how low; of Michalewicz's function the one between 0 and pi. Where
# there is no closed form, the root of the derivative is.
MINIMA = {
    "ackley": [((0.0, 0.0), 0.0)],
    "beale": [((3.0, 0.5), 0.0)],
    "booth": [((1.0, 3.0), 0.0)],
    "branin": [
        ((turns * np.pi, y), 10 / (8 * np.pi))
        for turns, y in ((-1, 12.275), (1, 2.275), (3, 2.475))
    ],
    "log_sum_exp": [((-np.log(2) / 2, 0.0), np.log1p(np.sqrt(8) * np.exp(-0.1)))],
    "matyas": [((0.0, 0.0), 0.0)],
    "michalewicz": [((2.185311961840168, np.pi / 2), 0.19337711465280494)],
    "rosenbrock": [((1.0, 1.0), 0.0)],
    "styblinski_tang": [((-2.903534027771177,) * 2, 1.6676685924571757)],
}
# Points where the formulas can be worked out by hand.
VALUES = {
    "ackley": ((1.0, 1.0), 20 - 20 * np.exp(-0.2)),
    "beale": ((1.0, 1.0), 1.5**2 + 2.25**2 + 2.625**2),
    "booth": ((1.0, 1.0), 16.0 + 4.0),
    "branin": ((0.0, 0.0), 36.0 + 20.0 - 10 / (8 * np.pi)),
    "log_sum_exp": ((0.0, 0.0), np.log(1 + 3 * np.exp(-0.1))),
    "matyas": ((1.0, 2.0), 0.26 * 5 - 0.48 * 2),
    "michalewicz": ((np.pi / 2, np.pi / 2), 2 - np.sin(np.pi / 4) ** 10 - 1),
    "rosenbrock": ((2.0, 3.0), 1.0 + 100.0),
    "styblinski_tang": ((1.0, 2.0), 0.5 * (1 - 16 + 5 + 16 - 64 + 10) + 80),
}


def value_and_gradient(name, point, dtype="float64"):
    problems = TwoDimensionalFunctions(name, dtype=dtype)
    x = tf.constant(point, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = problems.full_loss([x], ())
    return loss.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(check_derivatives, name):
    check_derivatives(TwoDimensionalFunctions(name, dtype="float64"), tolerance=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_by_hand(name):
    point, expected = VALUES[name]
    np.testing.assert_allclose(value_and_gradient(name, point)[0], expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_minima(name):
    for point, lowest in MINIMA[name]:
        value, gradient = value_and_gradient(name, point)
        np.testing.assert_allclose(value, lowest, atol=1e-12)
        np.testing.assert_allclose(gradient, 0, atol=1e-7)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nowhere_in_the_range_is_lower(name):
    problems = TwoDimensionalFunctions(name, dtype="float64")
    ranges = FUNCTIONS[name].ranges or ((-4.0, 4.0),) * 2
    grid = np.stack(np.meshgrid(*(np.linspace(*r, 301) for r in ranges)), axis=-1).reshape(-1, 2)
    values = FUNCTIONS[name].formula(tf.constant(grid[:, 0]), tf.constant(grid[:, 1])).numpy()
    lowest = MINIMA[name][0][1]
    assert values.min() >= lowest
    # And the grid comes near it.
    best = grid[values.argmin()]
    span = np.ptp(ranges, axis=1)
    assert min(np.abs((best - point) / span).max() for point, _ in MINIMA[name]) < 0.02
    starts = problems.batch(0, 0, 2000)["weights"][0].numpy()
    if FUNCTIONS[name].ranges is None:
        assert abs(starts.mean()) < 0.1 and abs(starts.std() - 1) < 0.05
    else:
        low, high = np.transpose(ranges)
        assert np.all(starts >= low) and np.all(starts <= high)
        np.testing.assert_allclose(starts.mean(0), (low + high) / 2, atol=0.03 * span.max())
        np.testing.assert_allclose(starts.std(0), span / np.sqrt(12), rtol=0.05)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rounding_makes_no_loss_negative(name):
    rng = np.random.default_rng(0)
    for point, _ in MINIMA[name]:
        near = point + rng.normal(size=[1000, 2]) * 10.0 ** rng.uniform(-8, 0, size=[1000, 1])
        near = tf.constant(near, tf.float32)
        assert np.all(FUNCTIONS[name].formula(near[:, 0], near[:, 1]) >= 0)


def test_ackley_has_finite_derivatives_at_its_cusp():
    problems = TwoDimensionalFunctions("ackley")
    x = tf.zeros([2])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = problems.full_loss([x], ())
        gradient = inner.gradient(loss, x)
    assert np.all(np.isfinite(gradient)) and np.all(np.isfinite(outer.gradient(gradient, x)))


def test_log_sum_exp_does_not_overflow():
    value, gradient = value_and_gradient("log_sum_exp", (500.0, -500.0), "float32")
    np.testing.assert_allclose(value, 1999.9)
    np.testing.assert_allclose(gradient, [1, -3])


def test_an_unknown_function_is_refused():
    with pytest.raises(ArgumentError, match="^function=sphere: choose one of ackley, beale"):
        TwoDimensionalFunctions("sphere")
