"""Clusters of tasks, fitted on the signatures of a pool of them."""

from typing import NamedTuple

import numpy as np

from tfmeta import distributed
from tfmeta.errors import ArgumentError

ALGORITHMS = ("kmeans", "agglomerative")

# Without a given number of clusters, the best of 2 to so many by their silhouette.
MOST = 8

# The silhouette compares all pairs; so many tasks show it well enough.
_SILHOUETTE_TASKS = 1000


class Clusters(NamedTuple):
    """Clusters of a pool of tasks.

    Attributes:
        centroids: float64 [clusters, dims], in an order that is the same in every run.
        labels: the cluster of each task of the pool, int [tasks].
        spread: mean squared distance of a signature of the pool to its centroid; 1 where all lie
            on their centroids.
        silhouette: mean silhouette of the pool, from -1 to 1; NaN for one cluster.
    """

    centroids: np.ndarray
    labels: np.ndarray
    spread: float
    silhouette: float

    def assign(self, signatures: np.ndarray) -> np.ndarray:
        """The cluster with the nearest centroid, int [tasks], of signatures [tasks, dims]."""
        return nearest(signatures, self.centroids)


def nearest(signatures: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number of the nearest centroid, int [tasks]."""
    return np.argmin(np.square(signatures[:, None] - centroids).sum(-1), axis=1)


def fit(
    signatures: np.ndarray, num_clusters: int | None, algorithm: str = "kmeans", seed: int = 0
) -> Clusters:
    """Clusters of a pool of tasks; every rank calls it with its share, and all get the same.

    No cluster is empty: where signatures coincide, so that fewer than `num_clusters` are different,
    there are as many clusters as different signatures.

    Args:
        signatures: of this rank's tasks, float [tasks, dims].
        num_clusters: how many; None for the number from 2 to 8 whose mean silhouette (Rousseeuw
            1987) is largest.
        algorithm: `kmeans` (Lloyd's, the best of 10 starts) or `agglomerative` (Ward's).
        seed: of the starts of `kmeans`.

    Raises:
        ArgumentError: more clusters than tasks, an unknown algorithm, or signatures of the wrong
            shape or not finite; on every rank alike.
    """
    parts = distributed.gather_objects(np.asarray(signatures))
    clusters, problem = None, None
    if distributed.is_main():
        try:
            clusters = _fit(_checked(parts), num_clusters, algorithm, seed)
        except ArgumentError as error:
            problem = error
    clusters, problem = distributed.gather_objects((clusters, problem))[0]
    if problem is not None:
        raise problem
    return clusters


def _checked(parts):
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1 or any(part.ndim != 2 for part in parts):
        raise ArgumentError(
            "signatures", sorted({part.shape for part in parts}), "give an array [tasks, dims]."
        )
    signatures = np.concatenate(parts).astype(np.float64)
    if not np.isfinite(signatures).all():
        raise ArgumentError(
            "signatures",
            "not finite",
            "some are NaN or infinite; lower the inner learning rate or take another signature.",
        )
    return signatures


def _fit(signatures, num_clusters, algorithm, seed):
    if algorithm not in ALGORITHMS:
        raise ArgumentError("algorithm", algorithm, f"there are {' and '.join(ALGORITHMS)}.")
    tasks = len(signatures)
    if num_clusters is not None and not 1 <= num_clusters <= tasks:
        raise ArgumentError(
            "num_clusters",
            num_clusters,
            f"there are {tasks} tasks to make them of; give a number from 1 to {tasks}, or raise "
            "the number of tasks.",
        )
    different = len(np.unique(signatures, axis=0))
    if num_clusters is not None:
        return _clusters(signatures, min(num_clusters, different), algorithm, seed)
    counts = range(2, min(MOST, different, tasks - 1) + 1)
    found = [_clusters(signatures, count, algorithm, seed) for count in counts]
    if not found:
        return _clusters(signatures, 1, algorithm, seed)
    return max(found, key=lambda clusters: clusters.silhouette)


def _clusters(signatures, count, algorithm, seed):
    labels = _labels(signatures, count, algorithm, seed)
    # Numbered by size, then by the first member: the number says nothing about the run.
    sizes, firsts = np.bincount(labels), np.unique(labels, return_index=True)[1]
    order = np.lexsort((firsts, -sizes))
    labels = np.argsort(order)[labels]
    centroids = np.stack([signatures[labels == number].mean(axis=0) for number in range(count)])
    spread = float(np.mean(np.square(signatures - centroids[labels]).sum(-1)))
    return Clusters(centroids, labels, spread or 1.0, _silhouette(signatures, labels, seed))


def _labels(signatures, count, algorithm, seed):
    # Imported here: it takes a second or two, and other learners do without.
    from sklearn.cluster import AgglomerativeClustering, KMeans

    if count == 1:
        return np.zeros(len(signatures), int)
    if algorithm == "agglomerative":
        return AgglomerativeClustering(count).fit_predict(signatures)
    return KMeans(count, n_init=10, random_state=seed % 2**32).fit_predict(signatures)


def _silhouette(signatures, labels, seed):
    from sklearn.metrics import silhouette_score

    if not 1 < len(set(labels)) < len(labels):
        return float("nan")
    some = np.random.default_rng(seed).permutation(len(labels))[:_SILHOUETTE_TASKS]
    if not 1 < len(set(labels[some])) < len(some):
        some = np.arange(len(labels))
    return float(silhouette_score(signatures[some], labels[some]))


def matched(labels: np.ndarray, before: np.ndarray, count: int) -> np.ndarray:
    """New numbers for clusters, so that they keep those of the clusters that they resemble most.

    Args:
        labels: of the same tasks, int [tasks], as fitted anew.
        before: as they were.
        count: how many numbers there are.

    Returns:
        The number of each new cluster, int [count], by the assignment in which most tasks keep
        theirs (Kuhn 1955).
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros([count, count], int)
    np.add.at(table, (labels, before), 1)
    return linear_sum_assignment(table, maximize=True)[1]
