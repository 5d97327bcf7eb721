import numpy as np
import pytest

from tfmeta.tasks.six_families import NOISE, SixFamilies

TASKS = 1200


@pytest.fixture(scope="module")
def tasks():
    (batch,) = SixFamilies(shots=30, queries=30, seed=3).batches(TASKS, steps=1)
    return {name: part.numpy().astype(np.float64) for name, part in batch.items()}


def points(tasks, family):
    chosen = tasks["family"] == SixFamilies.spec.families.index(family)
    x, y = (
        np.concatenate([tasks[f"support_{name}"], tasks[f"query_{name}"]], axis=1)[chosen]
        for name in "xy"
    )
    return x[..., 0], x[..., 1], y[..., 0]


def test_families_are_equally_likely_and_inputs_uniform(tasks):
    counts = np.bincount(tasks["family"].astype(int), minlength=6)
    np.testing.assert_allclose(counts, TASKS / 6, rtol=0.25)
    one = tasks["family"] < 4
    assert (tasks["support_x"][one, :, 1] == 1).all()
    for x in (tasks["support_x"][..., 0], tasks["query_x"][~one, :, 1]):
        counts, _ = np.histogram(x, bins=5, range=(-5, 5))
        np.testing.assert_allclose(counts, x.size / 5, rtol=0.1)


@pytest.mark.parametrize(
    ("family", "basis", "ranges"),
    [
        ("line", lambda a, b: [a, 1 + 0 * a], [3, 3]),
        ("quadratic", lambda a, b: [a**2, a, 1 + 0 * a], [0.2, 2, 3]),
        ("cubic", lambda a, b: [a**3, a**2, a, 1 + 0 * a], [0.1, 0.2, 2, 3]),
        ("quadratic surface", lambda a, b: [a**2, b**2], [1, 1]),
    ],
)
def test_linear_families_have_their_coefficients_and_their_noise(tasks, family, basis, ranges):
    found, squares = [], 0.0
    for a, b, y in zip(*points(tasks, family), strict=True):
        features = np.stack(basis(a, b), axis=1)
        coefficients, (square,), *_ = np.linalg.lstsq(features, y, rcond=None)
        found.append(coefficients)
        squares += square / (len(y) - len(ranges))
    assert squares / len(found) == pytest.approx(NOISE**2, rel=0.1)
    found = np.array(found) / ranges
    assert np.abs(found).max() < 1.3  # the noise moves them a little
    np.testing.assert_allclose(found.std(axis=0), 1 / np.sqrt(3), rtol=0.2)


def test_waves_stay_within_their_amplitudes(tasks):
    _, _, sine = points(tasks, "sine")
    assert 4 < np.abs(sine).max() < 5 + 6 * NOISE
    a, b, ripple = points(tasks, "ripple")
    offsets = ripple.mean(axis=1)
    assert 2 < np.abs(ripple).max() < 4 + 6 * NOISE
    # At the origin it is the offset alone.
    assert np.abs(offsets).max() < 4
    assert (np.ptp(ripple, axis=1) < 2 + 12 * NOISE).all()
