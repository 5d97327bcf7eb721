"""What regression tasks have in common: points of a function, split into support and query."""

import tensorflow as tf

from tfmeta.checks import check_count
from tfmeta.tasks.source import TaskSource


class Regression(TaskSource):
    """A source whose tasks are points of functions.

    Args:
        shots: number of support points.
        queries: number of query points.
        seed: seed of the tasks.

    Raises:
        ArgumentError: `shots` or `queries` is not a whole number of at least 1.
    """

    def __init__(self, shots: int, queries: int, seed: int = 0):
        super().__init__(seed)
        self.shots = check_count("shots", shots)
        self.queries = check_count("queries", queries)

    def support_and_query(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits points `[tasks, shots + queries, ...]` into the two sets, in float32."""
        x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
        return {
            "support_x": x[:, : self.shots],
            "support_y": y[:, : self.shots],
            "query_x": x[:, self.shots :],
            "query_y": y[:, self.shots :],
        }
