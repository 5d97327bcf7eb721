import numpy as np

from tfmeta.tasks.sinusoid import Sinusoids


def tasks():
    (batch,) = Sinusoids(shots=5, queries=10, seed=3).batches(2000, steps=1)
    return {name: part.numpy().astype(np.float64) for name, part in batch.items()}


def test_tasks_are_sine_waves_with_amplitudes_and_phases_of_the_paper():
    batch = tasks()
    amplitudes, phases = [], []
    for i in range(2000):
        # amplitude sin(x - phase) = (amplitude cos phase) sin x - (amplitude sin phase) cos x
        x = np.concatenate([batch["support_x"][i], batch["query_x"][i]])
        y = np.concatenate([batch["support_y"][i], batch["query_y"][i]])[:, 0]
        basis = np.concatenate([np.sin(x), -np.cos(x)], axis=1)
        (cosine, sine), *_ = np.linalg.lstsq(basis, y, rcond=None)
        np.testing.assert_allclose(basis @ [cosine, sine], y, atol=1e-5)
        amplitudes.append(np.hypot(cosine, sine))
        phases.append(np.arctan2(sine, cosine))
    assert_uniform(amplitudes, 0.1, 5.0)
    assert_uniform(phases, 0.0, np.pi)


def test_points_are_spread_over_the_interval():
    batch = tasks()
    assert_uniform(batch["support_x"], -5, 5)
    assert_uniform(batch["query_x"], -5, 5)


def assert_uniform(numbers, low, high):
    numbers = np.asarray(numbers)
    assert low - 1e-4 <= numbers.min() and numbers.max() <= high + 1e-4
    counts, _ = np.histogram(numbers, bins=5, range=(low - 1e-4, high + 1e-4))
    np.testing.assert_allclose(counts, numbers.size / 5, rtol=0.2)
