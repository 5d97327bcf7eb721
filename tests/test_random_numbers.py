import numpy as np
import tensorflow as tf

from tfmeta import random_numbers


def seeds(count):
    return random_numbers.fold_in(tf.zeros([2], tf.int32), tf.range(count))


def test_numbers_are_those_of_splitmix64():
    # The first outputs for the state 1234567, as other implementations print them.
    state = tf.bitcast(tf.constant(1234567, tf.uint64), tf.int32)
    outputs = tf.bitcast(random_numbers.fold_in(state, tf.range(5)), tf.uint64)
    assert outputs.numpy().tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_uniform_fills_the_interval_evenly():
    numbers = random_numbers.uniform(seeds(200), (10, 20), low=-1.0, high=3.0).numpy()
    assert numbers.shape == (200, 10, 20) and numbers.dtype == np.float64
    counts, _ = np.histogram(numbers, bins=10, range=(-1, 3))
    assert counts.sum() == numbers.size
    np.testing.assert_allclose(counts, numbers.size / 10, rtol=0.06)  # 4 standard deviations


def test_what_a_seed_gives_does_not_depend_on_the_other_seeds():
    together = random_numbers.uniform(seeds(5), (3,))
    alone = [random_numbers.uniform(seed, (3,)) for seed in seeds(5)]
    np.testing.assert_array_equal(together, alone)


def test_normal_has_the_moments_of_the_standard_normal_distribution():
    numbers = random_numbers.normal(seeds(200), (10, 20)).numpy()
    assert numbers.shape == (200, 10, 20) and numbers.dtype == np.float64
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        samples = numbers**power
        assert abs(samples.mean() - moment) < 4 * samples.std() / np.sqrt(numbers.size)


def test_draws_can_be_vectorized():
    def draw(seed):
        return random_numbers.normal(random_numbers.fold_in(seed, 1), (3,))

    mapped = tf.vectorized_map(draw, seeds(5), fallback_to_while_loop=False)
    np.testing.assert_array_equal(mapped, draw(seeds(5)))


def test_every_ordered_choice_is_equally_likely():
    chosen = random_numbers.choose(seeds(12000), 4, 2).numpy()
    _, counts = np.unique(chosen, axis=0, return_counts=True)
    assert len(counts) == 12
    np.testing.assert_allclose(counts, 1000, rtol=0.13)  # 4 standard deviations


def test_choice_from_populations_of_different_sizes():
    populations = tf.broadcast_to([3, 4, 1000], [300, 3])
    chosen = random_numbers.choose(tf.reshape(seeds(900), [300, 3, 2]), populations, 3).numpy()
    assert chosen.shape == (300, 3, 3)
    assert (np.diff(np.sort(chosen, axis=-1)) > 0).all()
    assert chosen.min() == 0
    assert chosen[:, 0].max() == 2 and chosen[:, 1].max() == 3
    assert 900 < chosen[:, 2].max() < 1000
