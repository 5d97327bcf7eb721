"""What ranks pay for telling each other something.

A worker of several ranks, see `answering`.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfmeta import distributed

from ..answering import serve

_WARM_UP = 5


class Collectives:
    """One collective at a time, in a graph, as a step has it."""

    def sum(self, numbers: int, calls: int) -> dict[str, float]:
        """Median seconds of the sum of one vector over the ranks.

        Args:
            numbers: Length of the vector, float32.
            calls: How many sums to make.
        """
        return _timed(distributed.sum_over_ranks, [tf.ones([numbers])], calls)

    def gather(self, tasks: int, queries: int, outputs: int, calls: int) -> dict[str, float]:
        """Median seconds of joining what a step knows of its tasks: four collectives.

        Args:
            tasks: Of each rank.
            queries: Query examples of a task.
            outputs: Numbers that are predicted for an example.
            calls: How often to join.
        """
        mine = [
            tf.ones([tasks, queries, outputs]),  # predictions
            tf.ones([tasks, queries], tf.int32),  # labels
            tf.ones([tasks]),  # losses
            tf.ones([tasks]),  # weights
        ]
        return _timed(distributed.gather, mine, calls)


def _timed(
    collective: Callable[[Sequence[tf.Tensor]], list[tf.Tensor]],
    tensors: list[tf.Tensor],
    calls: int,
) -> dict[str, float]:
    @tf.function(autograph=False)
    def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return collective(tensors)

    seconds: list[float] = []
    for number in range(_WARM_UP + calls):
        started = time.perf_counter()
        for result in call(*tensors):
            result.numpy()  # a call ends when all have come
        if number >= _WARM_UP:
            seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds)}


if __name__ == "__main__":
    distributed.init()
    serve(Collectives, {"tensorflow": tf.__version__, "keras": keras.__version__})
