"""Clusters of signatures: found where they are plain, the same in every run, never empty."""

import numpy as np
import pytest

from tfmeta.clustering import algorithms as clusters
from tfmeta.clustering.state import KeptClusters
from tfmeta.errors import ArgumentError


def blobs(sizes=(40, 30, 20, 10), seed=0):
    """Signatures around four centers, shuffled, and the center of each."""
    random = np.random.default_rng(seed)
    centers = 10 * np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1.0]])
    true = random.permutation(np.repeat(np.arange(4), sizes))
    return centers[true] + random.normal(size=[len(true), 3]), true


def nearest(found, signatures):
    """The cluster that each task is nearest to."""
    count = len(found.centroids)
    kept = KeptClusters(count, signatures.shape[1], "float64")
    kept.take(found, np.arange(count))
    return np.argmin(kept.distances(signatures), axis=1)


@pytest.mark.parametrize("count", [4, None])
@pytest.mark.parametrize("algorithm", clusters.ALGORITHMS)
def test_plain_clusters_are_found_and_numbered_by_size(algorithm, count):
    signatures, true = blobs()
    found = clusters.fit(signatures, count, algorithm)
    np.testing.assert_array_equal(found.labels, true)
    means = [signatures[true == number].mean(axis=0) for number in range(4)]
    np.testing.assert_allclose(found.centroids, means, atol=1e-6)
    np.testing.assert_array_equal(nearest(found, signatures), true)
    assert found.silhouette > 0.7


def test_a_mixture_tells_families_apart_that_vary_in_other_directions():
    """Both around 0, a line and a plane through it in a space of 20 dimensions."""
    random = np.random.default_rng(0)
    true = np.repeat([0, 1], [150, 100])
    points = random.normal(size=[250, 3]) * np.where(true[:, None] == 0, [3, 0.1, 0.1], [0.1, 3, 3])
    signatures = points @ np.linalg.qr(random.normal(size=[20, 3]))[0].T
    found = clusters.fit(signatures, 2, "gaussian_mixture")
    assert np.mean(found.labels == true) > 0.95
    np.testing.assert_array_equal(nearest(found, signatures), found.labels)
    assert np.mean(clusters.fit(signatures, 2, "kmeans").labels == true) < 0.8


@pytest.mark.parametrize("algorithm", clusters.ALGORITHMS)
def test_clusters_are_found_along_the_few_directions_in_which_tasks_differ(algorithm):
    """Of 300 coordinates three tell the families apart; noise in the others hides them."""
    signatures, true = blobs()
    noise = 3 * np.random.default_rng(1).normal(size=[len(true), 300])
    noise[:, :3] += 3 * signatures
    found = clusters.fit(noise, 4, algorithm)
    np.testing.assert_array_equal(found.labels, true)
    np.testing.assert_array_equal(nearest(found, noise), true)
    assert found.axes.shape == (16, 300) and found.centroids.shape == (4, 16)


def test_fewer_tasks_than_components():
    found = clusters.fit(np.repeat(np.eye(2, 300), 3, axis=0), 2)
    assert sorted(np.bincount(found.labels)) == [3, 3]
    assert found.axes.shape == (16, 300)


@pytest.mark.parametrize("algorithm", clusters.ALGORITHMS)
def test_the_same_in_every_run_and_in_any_order(algorithm):
    signatures, _ = blobs()
    first, again = (clusters.fit(signatures, 3, algorithm, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.centroids, again.centroids)
    np.testing.assert_array_equal(first.labels, again.labels)


def test_new_tasks_go_to_the_nearest_centroid():
    found = clusters.fit(blobs()[0], 4)
    signatures, true = blobs(seed=1)
    np.testing.assert_array_equal(nearest(found, signatures), true)


def test_no_cluster_is_empty_where_signatures_coincide():
    found = clusters.fit(np.repeat(np.eye(2), 5, axis=0), 4)
    assert sorted(np.bincount(found.labels)) == [5, 5]
    alone = clusters.fit(np.ones([5, 2]), None)
    np.testing.assert_array_equal(alone.labels, np.zeros(5))


@pytest.mark.parametrize("count", [None, 3, 8])
def test_no_cluster_is_empty_where_signatures_nearly_coincide(count):
    random = np.random.default_rng(0)
    signatures = random.normal(size=[2, 32])[np.arange(60) % 2]
    found = clusters.fit(signatures + 1e-8 * random.normal(size=[60, 32]), count)
    sizes = np.bincount(found.labels)
    assert sizes.min() > 0 and len(sizes) == len(found.centroids)


def test_renumbered_clusters_keep_their_numbers():
    before = np.array([0, 0, 0, 3, 3, 1])
    labels = np.array([1, 1, 0, 2, 2, 0])
    numbers = clusters.matched(labels, before, 4)
    np.testing.assert_array_equal(numbers[labels], [0, 0, 1, 3, 3, 1])
    assert sorted(numbers) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("signatures", "count", "sentence"),
    [
        (np.zeros([5, 2]), 6, "num_clusters=6: there are 5 tasks"),
        (np.zeros([5, 2]), 0, "num_clusters=0: there are 5 tasks"),
        (np.zeros([5]), 2, r"signatures=.*: give an array \[tasks, dims\]"),
        (np.full([5, 2], np.inf), 2, "signatures=not finite"),
        (np.zeros([0, 2]), None, "signatures=none: there are no tasks"),
    ],
)
def test_bad_input(signatures, count, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        clusters.fit(signatures, count)


def test_unknown_algorithm():
    with pytest.raises(ArgumentError, match="algorithm=dbscan: give one of kmeans"):
        clusters.fit(np.zeros([5, 2]), 2, "dbscan")
