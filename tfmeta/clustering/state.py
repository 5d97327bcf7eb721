"""Clusters that a learner keeps."""

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.clustering import algorithms as clusters


class KeptClusters(keras.layers.Layer):
    """Clusters of tasks as variables: saved with a learner, and used in its graphs.

    Until they are fitted there is one, the first, to which all tasks belong.

    Args:
        count: the most that there may be.
        dims: numbers in a signature.
        dtype: of what is computed with them.

    Attributes:
        axes, centroids, scales, offsets: see `clusters.Clusters`; rows of clusters that there are
            not hold zeros.
        present: which clusters there are, bool [count].
    """

    def __init__(self, count: int, dims: int, dtype: str):
        super().__init__(dtype=dtype)
        components = min(dims, clusters.COMPONENTS)

        def variable(name, shape, dtype=dtype):
            return self.add_weight(
                name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
            )

        self.axes = variable("axes", [components, dims])
        self.centroids = variable("centroids", [count, components])
        self.scales = variable("scales", [count, components, components])
        self.offsets = variable("offsets", [count])
        self.present = variable("present", [count], "bool")
        self.present.assign(np.arange(count) == 0)
        self.built = True

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of the clusters that there are."""
        return np.flatnonzero(self.present.numpy())

    def fit(
        self, signatures: np.ndarray, num_clusters: int | None, algorithm: str, seed: int
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
        """Forms the clusters anew; every rank calls it with its share of a pool of tasks.

        Those that were there before keep their numbers, as far as their tasks stay together.

        Args:
            signatures: of this rank's tasks, [tasks, dims].
            num_clusters, algorithm, seed: see `clusters.fit`.

        Returns:
            The signatures of all ranks' tasks, [tasks, dims]; the cluster of each, int [tasks];
            and the number of each cluster that is new, with that of the one that most of its tasks
            belonged to before.

        Raises:
            ArgumentError: see `clusters.fit`.
        """
        found = clusters.fit(signatures, num_clusters, algorithm, seed)
        of_all = np.concatenate(distributed.gather_objects(signatures))
        before = np.argmin(self.distances(tf.constant(of_all)), axis=1)
        there, most = self.numbers, self.present.shape[0]
        numbers = clusters.matched(found.labels, before, most)[: len(found.centroids)]
        born = [
            (int(number), int(np.argmax(np.bincount(before[found.labels == label]))))
            for label, number in enumerate(numbers)
            if number not in there
        ]
        self.take(found, numbers)
        return of_all, numbers[found.labels], born

    def take(self, found: clusters.Clusters, numbers: np.ndarray) -> None:
        """Keeps these clusters in place of those that there were.

        Args:
            found: the clusters.
            numbers: the number of each, int [clusters].
        """
        self.axes.assign(found.axes)
        for variable, rows in (
            (self.centroids, found.centroids),
            (self.scales, found.scales),
            (self.offsets, found.offsets),
        ):
            placed = np.zeros(variable.shape)
            placed[numbers] = rows
            variable.assign(placed)
        self.present.assign(np.isin(np.arange(self.present.shape[0]), numbers))

    def distances(self, signatures: tf.Tensor) -> tf.Tensor:
        """How far each task is from each cluster, see `clusters.Clusters`.

        Args:
            signatures: [tasks, dims].

        Returns:
            [tasks, count], infinite for a cluster that there is not.
        """
        points = tf.linalg.matmul(signatures, self.axes, transpose_b=True)
        scaled = tf.einsum("kij,tkj->tki", self.scales, points[:, None] - self.centroids)
        far = tf.where(self.present, tf.convert_to_tensor(self.offsets), np.inf)
        return tf.reduce_sum(tf.square(scaled), axis=-1) + far
