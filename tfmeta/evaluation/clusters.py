"""How clusters divide unseen tasks."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.distributed import chunks, share
from tfmeta.tasks.source import TaskSource

_AT_ONCE = 25  # tasks in memory


@dataclasses.dataclass(frozen=True)
class Clustered:
    """Tasks and the clusters that they are routed to.

    Attributes:
        signatures: float [tasks, dims].
        labels: the cluster of each task, int [tasks].
        family: the true family of each, int [tasks]; None where the data tells none.
        names: of the families.
    """

    signatures: np.ndarray
    labels: np.ndarray
    family: np.ndarray | None
    names: Sequence[str]

    def table(self) -> list[list[int]]:
        """How many tasks of each family (rows) are in each cluster (columns)."""
        assert self.family is not None
        clusters = int(self.labels.max()) + 1
        counts = np.zeros([len(self.names), clusters], int)
        np.add.at(counts, (self.family, self.labels), 1)
        return counts.tolist()

    def results(self) -> dict[str, Any]:
        """For the JSON: `clusters`, how many there are; and, where families are known, `families`,
        `cluster_table`, and `adjusted_rand_index` (Hubert and Arabie 1985)."""
        from sklearn.metrics import adjusted_rand_score

        results: dict[str, Any] = {"clusters": len(set(self.labels.tolist()))}
        if self.family is not None:
            results["families"] = list(self.names)
            results["cluster_table"] = self.table()
            results["adjusted_rand_index"] = float(adjusted_rand_score(self.family, self.labels))
        return results


def clustered(learner: Any, source: TaskSource, count: int) -> Clustered:
    """Routes tasks of a source; every rank calls it, and all get the whole.

    Args:
        learner: a few-shot learner whose start has clusters.
        source: of unseen tasks.
        count: how many tasks.
    """

    @tf.function(autograph=False)
    def routed(first, last):
        tasks = source.batch(0, first, last)
        labels = tf.argmax(learner.start.memberships(learner, tasks), axis=1)
        family = tasks.get("family", tf.fill(tf.shape(labels), -1))
        return learner.start.signatures(learner, tasks), labels, family

    mine = share(count, distributed.rank(), distributed.size())
    parts = [
        routed(tf.constant(first), tf.constant(last)) for first, last in chunks(mine, _AT_ONCE)
    ]
    whole = [tf.concat(part, axis=0) for part in zip(*parts, strict=True)]
    signatures, labels, family = (tensor.numpy() for tensor in distributed.gather(whole))
    known = family[0] >= 0
    names = source.spec.families if known else ()
    return Clustered(signatures, labels, family if known else None, names)
