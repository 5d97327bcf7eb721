"""Keras metrics on several ranks: they accumulate on their rank, and their states are summed.

A state that is a sum over examples, such as a total and a count, may be summed over the ranks
whenever somebody reads it: no prediction has to travel.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.errors import ArgumentError


@contextlib.contextmanager
def summed_over_ranks(metrics: Sequence[keras.Metric]) -> Iterator[None]:
    """Within the context the states of metrics are those of all ranks; every rank enters it."""
    variables = [variable for metric in metrics for variable in metric.variables]
    own = [tf.convert_to_tensor(variable.value) for variable in variables]
    for variable, total in zip(variables, distributed.sum_over_ranks(own), strict=True):
        variable.assign(total)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


def check_states_add_up(
    metrics: Sequence[keras.Metric], y: tf.TensorSpec, prediction: tf.TensorSpec
) -> None:
    """Refuses metrics whose states are not sums over examples, by trying them on made-up examples.

    Args:
        metrics: as `compile` takes them; what they hold is reset.
        y: the labels of one example.
        prediction: of one example.

    Raises:
        ArgumentError: naming the metric.
    """
    random = np.random.default_rng(0)
    halves = [_made_up(random, y, prediction) for _ in range(2)]
    for metric in metrics:
        first, second = (_state_after(metric, [half]) for half in halves)
        both = _state_after(metric, halves)
        sums = [a + b for a, b in zip(first, second, strict=True)]
        if not all(np.allclose(a, b, rtol=1e-4) for a, b in zip(both, sums, strict=True)):
            raise ArgumentError(
                "metrics",
                metric.name,
                "its state does not add up over ranks; leave it out, or train on one rank.",
            )


def _made_up(random, y, prediction):
    shapes = [[8, *(size or 1 for size in spec.shape)] for spec in (y, prediction)]
    outputs = random.uniform(0.1, 0.9, shapes[1]).astype(prediction.dtype.as_numpy_dtype)
    if y.dtype.is_integer:
        one_each = prediction.shape.rank == y.shape.rank or prediction.shape[-1] == 1
        labels = random.integers(0, 2 if one_each else prediction.shape[-1], shapes[0])
    else:
        labels = random.uniform(0.1, 0.9, shapes[0])
    return labels.astype(y.dtype.as_numpy_dtype), outputs


def _state_after(metric, examples):
    metric.reset_state()
    for y, prediction in examples:
        metric.update_state(y, prediction)
    state = [np.array(variable, np.float64) for variable in metric.variables]
    metric.reset_state()
    return state
