"""Clusters packed into groups, against all packings that there are."""

import itertools

import numpy as np
import pytest

from tfmeta.scheduling.packing import pack


def makespan(costs, packing, groups):
    return max(np.bincount(packing, weights=costs, minlength=groups))


def least(costs, groups):
    """By trying all."""
    every = itertools.product(range(groups), repeat=len(costs))
    return min(makespan(costs, packing, groups) for packing in every)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("clusters", [3, 6, 8])
def test_a_packing_is_the_best(clusters, groups):
    for seed in range(5):
        costs = np.random.default_rng(seed).exponential(size=clusters)
        packing = pack(costs, groups)
        assert makespan(costs, packing, groups) == pytest.approx(least(costs, groups), rel=1e-12)


def test_longest_first_alone_would_not_be_the_best():
    costs = [3.0, 3.0, 2.0, 2.0, 2.0]
    assert makespan(costs, pack(costs, 2), 2) == 6.0  # longest first: 7


def test_sixteen_clusters_are_packed_as_well_as_can_be():
    # A perfect packing exists: four groups of 100.
    costs = [47, 33, 12, 8, 41, 29, 19, 11, 53, 27, 17, 3, 61, 23, 9, 7]
    assert makespan(costs, pack(costs, 4), 4) == 100


def test_many_clusters_are_packed_within_grahams_bound():
    for seed in range(20):
        costs = np.random.default_rng(seed).exponential(size=40)
        for groups in (2, 3, 5):
            best_at_least = max(costs.max(), costs.sum() / groups)
            found = makespan(costs, pack(costs, groups), groups)
            assert found <= (4 / 3 - 1 / (3 * groups)) * best_at_least


def test_a_packing_is_no_worse_than_the_papers_own():
    """Softmax, quadratic and 2-D on one processor, bowl and fully connected on the other."""
    for seed in range(20):
        costs = np.random.default_rng(seed).exponential(size=5)
        papers = max(costs[:3].sum(), costs[3:].sum())
        assert makespan(costs, pack(costs, 2), 2) <= papers
