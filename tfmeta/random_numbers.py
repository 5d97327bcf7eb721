"""Random numbers for many tasks at once, each task with a seed of its own.

TensorFlow's stateless random functions take one seed per call, so a meta-batch would need a call
for every task and draw. That took several times as long as the rest of episode sampling. Here a few
elementwise integer operations draw for all tasks: each task has its own stream of SplitMix64
(Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). The bits depend on the
seed alone, not on the device, the TensorFlow version or the number of tasks.
"""

import math

import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15
_HALF = 0xFFFFFFFF


def of_keras(seed: int) -> int:
    """A seed of Keras's, which are less than 2**63, from one of any size."""
    return seed % 2**63


def fold_in(seeds: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """Derives new seeds.

    Args:
        seeds: int32 `[..., 2]`.
        number: integers of at least 0, of a shape that broadcasts with `seeds.shape[:-1]`.

    Returns:
        int32 `[..., 2]`. Different seeds or numbers give unrelated seeds.
    """
    bits = _bits(seeds, number)
    halves = tf.stack([bits, tf.bitwise.right_shift(bits, _unsigned(32))], axis=-1)
    return tf.cast(tf.cast(tf.bitwise.bitwise_and(halves, _unsigned(_HALF)), tf.int64), tf.int32)


def uniform(
    seeds: tf.Tensor, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
) -> tf.Tensor:
    """Draws independent numbers from the uniform distribution over [low, high).

    Args:
        seeds: int32 `[..., 2]`.
        shape: shape of the numbers of each seed.
        low: lower bound.
        high: upper bound.

    Returns:
        float64 `[..., *shape]`.
    """
    seeds = tf.reshape(seeds, tf.concat([tf.shape(seeds)[:-1], [1] * len(shape), [2]], 0))
    size = 1
    for length in shape:
        size *= length
    bits = _bits(seeds, tf.reshape(tf.range(size, dtype=tf.int64), shape))
    # A float64 holds 53 bits without rounding.
    fractions = tf.cast(tf.bitwise.right_shift(bits, _unsigned(11)), tf.float64)
    return low + (high - low) * 2.0**-53 * fractions


def normal(seeds: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Draws independent numbers from the standard normal distribution (Box and Muller 1958).

    Args:
        seeds: int32 `[..., 2]`.
        shape: shape of the numbers of each seed.

    Returns:
        float64 `[..., *shape]`.
    """
    first, second = tf.unstack(uniform(seeds, (2, *shape)), axis=-1 - len(shape))
    # Draws are below 1, so the logarithm gets numbers above 0.
    return tf.sqrt(-2.0 * tf.math.log(1.0 - first)) * tf.cos(2.0 * math.pi * second)


def choose(seeds: tf.Tensor, population: tf.Tensor | int, count: int) -> tf.Tensor:
    """Draws `count` different integers from 0 to `population - 1`, in random order.

    Args:
        seeds: int32 `[..., 2]`.
        population: at least `count`: one for all seeds, or one for each, `[...]`.
        count: number of integers for each seed.

    Returns:
        int64 `[..., count]`.
    """
    draws, order = tf.unstack(uniform(seeds, (2, count)), axis=-2)
    population = tf.cast(population, tf.int64)
    # Floyd's sampling: the work grows with `count`, not with the size of the population.
    chosen = tf.zeros_like(draws[..., :0], tf.int64)
    for i in range(count):
        last = population - count + i
        draw = tf.cast(draws[..., i] * tf.cast(last + 1, tf.float64), tf.int64)
        taken = tf.reduce_any(chosen == draw[..., None], axis=-1)
        draw = tf.where(taken, last, draw)
        chosen = tf.concat([chosen, draw[..., None]], axis=-1)
    # All sets are equally likely, but not all orders: large numbers tend to come late.
    return tf.gather(chosen, tf.argsort(order), axis=-1, batch_dims=order.shape.rank - 1)


def _unsigned(number: tf.Tensor | int) -> tf.Tensor:
    return tf.cast(tf.cast(number, tf.int64), tf.uint64)


def _bits(seeds: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """The 64 bits, uint64 `[...]`, at position `number` of each seed's stream."""
    # Arithmetic instead of tf.bitcast, which tf.vectorized_map cannot run.
    low, high = tf.unstack(tf.bitwise.bitwise_and(tf.cast(seeds, tf.int64), _HALF), axis=-1)
    seed = _unsigned(low) + tf.bitwise.left_shift(_unsigned(high), _unsigned(32))
    return _output(seed + (_unsigned(number) + 1) * tf.constant(_GOLDEN, tf.uint64))


def _output(state: tf.Tensor) -> tf.Tensor:
    """The output function of SplitMix64, a bijection of uint64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = tf.bitwise.bitwise_xor(
            state, tf.bitwise.right_shift(state, tf.constant(shift, tf.uint64))
        ) * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, tf.constant(31, tf.uint64)))
