"""Keras metrics on several ranks: they accumulate on their rank, and their states are summed.

A state that is a sum over examples, such as a total and a count, may be summed over the ranks
whenever somebody reads it: no prediction has to travel.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.errors import ArgumentError


@contextlib.contextmanager
def summed_over_ranks(metrics: Sequence[keras.Metric]) -> Iterator[None]:
    """Within the context the states of metrics are those of all ranks; every rank enters it."""
    variables = [variable for metric in metrics for variable in metric.variables]
    with engine.kept_values(variables) as own:
        for variable, total in zip(variables, distributed.sum_over_ranks(own), strict=True):
            variable.assign(total)
        yield


def check_states_add_up(metrics: keras.Metric | None, y: Any, prediction: Any) -> None:
    """Refuses metrics whose states are not sums over examples, by trying them on made-up examples.

    Args:
        metrics: all that `compile` was given, as Keras keeps them; what they hold is reset.
        y: specs of the labels of one example, a nest.
        prediction: of one example.

    Raises:
        ArgumentError: naming the metric.
    """
    if metrics is None:
        return
    random = np.random.default_rng(0)
    halves = [_made_up(random, y, prediction) for _ in range(2)]
    precisions = {metric.name: metric.dtype for metric in metrics.metrics}
    first, second = (_states_after(metrics, [half]) for half in halves)
    for name, both in _states_after(metrics, halves).items():
        sums = [a + b for a, b in zip(first[name], second[name], strict=True)]
        rtol = 0.05 if precisions[name] == "bfloat16" else 1e-4
        if not all(np.allclose(a, b, rtol=rtol) for a, b in zip(both, sums, strict=True)):
            raise ArgumentError(
                "metrics",
                name,
                "its state does not add up over ranks; leave it out, or train on one rank.",
            )


def _made_up(random, y, prediction):
    outputs = tf.nest.map_structure(
        lambda spec: random.uniform(0.1, 0.9, _eight(spec)).astype(spec.dtype.as_numpy_dtype),
        prediction,
    )
    labels = [
        _made_up_labels(random, *specs)
        for specs in zip(tf.nest.flatten(y), tf.nest.flatten(prediction), strict=True)
    ]
    return tf.nest.pack_sequence_as(y, labels), outputs


def _made_up_labels(random, y, prediction):
    if y.dtype.is_integer:
        one_each = prediction.shape.rank == y.shape.rank or prediction.shape[-1] == 1
        labels = random.integers(0, 2 if one_each else prediction.shape[-1], _eight(y))
    else:
        labels = random.uniform(0.1, 0.9, _eight(y))
    return labels.astype(y.dtype.as_numpy_dtype)


def _eight(spec):
    return [8, *(size or 1 for size in spec.shape)]


def _states_after(metrics, examples):
    metrics.reset_state()
    for y, prediction in examples:
        metrics.update_state(y, prediction)
    states = {
        metric.name: [np.array(variable, np.float64) for variable in metric.variables]
        for metric in metrics.metrics
    }
    metrics.reset_state()
    return states
