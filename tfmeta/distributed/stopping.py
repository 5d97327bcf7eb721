"""Ranks end at the same step: the request of one travels with the sums that all take part in."""

import functools

import tensorflow as tf

from tfmeta.distributed.world import size
from tfmeta.environment import stopping


@functools.cache
def request() -> tf.Variable:
    """What a rank adds to every sum: float32 [], 1 once it has been asked to end, else 0."""
    variable = _number()
    stopping.when_requested(lambda: variable.assign(1.0))
    return variable


@functools.cache
def heard() -> tf.Variable:
    """How many ranks had been asked to end when the latest sum was made: float32 []."""
    return _number()


def _number() -> tf.Variable:
    with tf.init_scope(), tf.device("CPU:0"):
        return tf.Variable(0.0, trainable=False)


def stop_agreed() -> bool:
    """Whether a rank had been asked to end when the latest sum was made: the same on every rank.

    Alone in a process, whether it has been asked by now.
    """
    if size() == 1:
        return stopping.requested() is not None
    return bool(heard().numpy() > 0)
