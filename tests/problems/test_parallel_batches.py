"""Steps that see several batches at once."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems import SoftmaxRegressions
from tfmeta.problems.parallel_batches import ParallelBatches


def test_the_gradient_is_the_mean_over_the_batches():
    problems = SoftmaxRegressions(10, 20, dtype="float64")
    task = tf.nest.map_structure(lambda tensor: tensor[0], problems.batch(0, 0, 1))
    seed = tf.constant([3, 4])

    def gradient(loss):
        with tf.GradientTape() as tape:
            tape.watch(task["weights"])
            value = loss()
        return [value, *tape.gradient(value, task["weights"])]

    together = gradient(
        lambda: ParallelBatches(problems, 3).loss(task["weights"], task["data"], seed)
    )
    alone = [
        gradient(
            lambda n=n: problems.loss(
                task["weights"], task["data"], random_numbers.fold_in(seed, n)
            )
        )
        for n in range(3)
    ]
    for merged, *parts in zip(together, *alone, strict=True):
        np.testing.assert_allclose(merged, np.mean(parts, axis=0), rtol=0, atol=1e-14)
    assert not np.allclose(alone[0][0], alone[1][0])


def test_no_batches_are_refused():
    with pytest.raises(ArgumentError, match="batches.*0"):
        ParallelBatches(SoftmaxRegressions(10), 0)
