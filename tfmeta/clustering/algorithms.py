"""Clusters of tasks, fitted on the signatures of a pool of them."""

from typing import NamedTuple

import numpy as np

from tfmeta import distributed
from tfmeta.errors import ArgumentError
from tfmeta.registry import ALGORITHMS

# Without a given number of clusters, the best of 2 to so many by their silhouette.
MOST = 8

# Tasks differ along few directions of their signatures; along the others they differ by chance.
COMPONENTS = 16

# Of the variance, what is added to that of a Gaussian.
_REGULARIZATION = 1e-4

# The silhouette compares all pairs; so many tasks show it well enough.
_SILHOUETTE_TASKS = 1000


class Clusters(NamedTuple):
    """Clusters of a pool of tasks.

    How far a signature s is from a cluster is |scale (axes s - centroid)|^2 + offset; with half of
    that as minus the logarithm of a density, it is a mixture of Gaussians.

    Attributes:
        axes: float64 [components, dims]: the first 16 principal components of the pool's
            signatures; of shorter ones the identity.
        centroids: float64 [clusters, components], in an order that is the same in every run.
        scales: float64 [clusters, components, components]. For `kmeans` and `agglomerative` all
            are the same multiple of the identity, so that the nearest centroid decides.
        offsets: float64 [clusters].
        labels: the cluster of each task of the pool, int [tasks].
        silhouette: mean silhouette of the pool, from -1 to 1; NaN for one cluster.
    """

    axes: np.ndarray
    centroids: np.ndarray
    scales: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    silhouette: float


def fit(
    signatures: np.ndarray, num_clusters: int | None, algorithm: str = "kmeans", seed: int = 0
) -> Clusters:
    """Clusters of a pool of tasks; every rank calls it with its share, and all get the same.

    No cluster is empty: where signatures coincide, so that fewer than `num_clusters` are different,
    there are as many clusters as different signatures.

    Args:
        signatures: of this rank's tasks, float [tasks, dims].
        num_clusters: how many; None for the number from 2 to 8 whose mean silhouette (Rousseeuw
            1987) is largest, or for `gaussian_mixture`, whose clusters may lie within one another,
            whose Bayesian information criterion (Schwarz 1978) is least.
        algorithm: `kmeans` (Lloyd's, the best of 10 starts), `agglomerative` (Ward's), or
            `gaussian_mixture` (full covariances, the best of 5 starts): families of functions that
            differ in the directions in which they vary, rather than in their means. All of them
            along the first 16 principal components.
        seed: of the starts.

    Raises:
        ArgumentError: more clusters than tasks, an unknown algorithm, or signatures of the wrong
            shape or not finite; on every rank alike.
    """
    parts = distributed.gather_objects(np.asarray(signatures))
    return distributed.on_main(lambda: _fit(_checked(parts), num_clusters, algorithm, seed))


def _checked(parts):
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1 or any(part.ndim != 2 for part in parts):
        raise ArgumentError(
            "signatures", sorted({part.shape for part in parts}), "give an array [tasks, dims]."
        )
    signatures = np.concatenate(parts).astype(np.float64)
    if not len(signatures):
        raise ArgumentError("signatures", "none", "there are no tasks to make clusters of.")
    if not np.isfinite(signatures).all():
        raise ArgumentError(
            "signatures",
            "not finite",
            "some are NaN or infinite; lower the inner learning rate or take another signature.",
        )
    return signatures


def _fit(signatures, num_clusters, algorithm, seed):
    ALGORITHMS.check("algorithm", algorithm)
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
        counts = [min(num_clusters, different)]
    else:
        counts = list(range(2, min(MOST, different, tasks - 1) + 1)) or [1]
    axes = _principal(signatures)
    points = signatures @ axes.T
    if different == 1:
        return _of_labels(axes, points, np.zeros(len(points), int), seed)
    return ALGORITHMS[algorithm](axes, points, counts, seed)


def kmeans(axes: np.ndarray, points: np.ndarray, counts: list[int], seed: int) -> Clusters:
    """Lloyd's, the best of 10 starts.

    Args:
        axes: float64 [components, dims].
        points: signatures along them, float64 [tasks, components].
        counts: the numbers of clusters to choose from.
        seed: of the starts.
    """
    from sklearn.cluster import KMeans

    def labels(count):
        return KMeans(count, n_init=10, random_state=seed % 2**32).fit_predict(points)

    return _best_by_silhouette(axes, points, counts, labels, seed)


def agglomerative(axes: np.ndarray, points: np.ndarray, counts: list[int], seed: int) -> Clusters:
    """Ward's; see `kmeans` for the arguments."""
    from sklearn.cluster import AgglomerativeClustering

    def labels(count):
        return AgglomerativeClustering(count).fit_predict(points)

    return _best_by_silhouette(axes, points, counts, labels, seed)


def _best_by_silhouette(axes, points, counts, labels, seed):
    found = [
        _of_labels(axes, points, labels(n) if n > 1 else np.zeros(len(points), int), seed)
        for n in counts
    ]
    return max(found, key=lambda clusters: clusters.silhouette)


def _principal(signatures):
    dims = signatures.shape[1]
    if dims <= COMPONENTS:
        return np.eye(dims)
    _, _, found = np.linalg.svd(signatures - signatures.mean(axis=0), full_matrices=False)
    axes = np.zeros([COMPONENTS, dims])  # there are no more than tasks
    axes[: len(found)] = found[:COMPONENTS]
    return axes


def _of_labels(axes, points, labels, seed):
    labels = _by_size(labels)
    count = labels.max() + 1
    centroids = np.stack([points[labels == number].mean(axis=0) for number in range(count)])
    # The variance of a Gaussian whose mean squared distance is that of the pool to its centroids.
    spread = float(np.mean(np.square(points - centroids[labels]).sum(-1))) or 1.0
    scales = np.tile(np.sqrt(2 / spread) * np.eye(points.shape[1]), [count, 1, 1])
    silhouette = _silhouette(points, labels, seed)
    return Clusters(axes, centroids, scales, np.zeros(count), labels, silhouette)


def gaussian_mixture(
    axes: np.ndarray, points: np.ndarray, counts: list[int], seed: int
) -> Clusters:
    """Gaussians of full covariances, the best of 5 starts; see `kmeans` for the arguments."""
    from sklearn.mixture import GaussianMixture

    added = _REGULARIZATION * points.var()
    mixtures = [
        GaussianMixture(
            count, reg_covar=added, n_init=5, max_iter=300, random_state=seed % 2**32
        ).fit(points)
        for count in counts
    ]
    mixture = min(mixtures, key=lambda mixture: mixture.bic(points))
    raw = mixture.predict(points)
    labels = _by_size(raw)
    order = [raw[np.argmax(labels == number)] for number in range(labels.max() + 1)]
    factors = mixture.precisions_cholesky_[order]
    scales = np.swapaxes(factors, 1, 2)
    offsets = -2 * np.log(mixture.weights_[order])
    offsets -= 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    silhouette = _silhouette(points, labels, seed)
    return Clusters(axes, mixture.means_[order], scales, offsets, labels, silhouette)


def _by_size(labels):
    """Labels numbered by size, then by first member: the number says nothing about the run.

    Those that nobody has, as from algorithms that cannot tell nearly equal points apart, are left
    out.
    """
    labels = np.unique(labels, return_inverse=True)[1]
    sizes, firsts = np.bincount(labels), np.unique(labels, return_index=True)[1]
    return np.argsort(np.lexsort((firsts, -sizes)))[labels]


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
