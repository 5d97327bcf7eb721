"""What regression tasks have in common: points of a function, shared out."""

import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.tasks.source import TaskSource


class Regression(TaskSource):
    """A source whose tasks are points of functions, some to learn from and some to predict.

    Args:
        shots: support points.
        queries: query points.
        seed: seed of the tasks.

    Raises:
        ArgumentError: if `shots` or `queries` is not a whole number of at least 1.
    """

    def __init__(self, shots: int, queries: int, seed: int = 0):
        super().__init__(seed)
        for name, value in (("shots", shots), ("queries", queries)):
            if type(value) is not int or value < 1:
                raise ArgumentError(name, value, "give a whole number of at least 1")
        self.shots, self.queries = shots, queries

    def shared_out(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        """Support and query sets, float32, of points `[tasks, shots + queries, ...]`."""
        x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
        return {
            "support_x": x[:, : self.shots],
            "support_y": y[:, : self.shots],
            "query_x": x[:, self.shots :],
            "query_y": y[:, self.shots :],
        }
