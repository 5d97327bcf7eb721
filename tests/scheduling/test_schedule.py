"""Clusters packed into groups of equal time, whole and split."""

import itertools

import numpy as np
import pytest

from tfmeta.errors import ArgumentError
from tfmeta.scheduling import schedule
from tfmeta.scheduling.schedule import Kind, Part


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
        packing = schedule.pack(costs, groups)
        assert makespan(costs, packing, groups) == pytest.approx(least(costs, groups), rel=1e-12)


def test_longest_first_alone_would_not_be_the_best():
    costs = [3.0, 3.0, 2.0, 2.0, 2.0]
    assert makespan(costs, schedule.pack(costs, 2), 2) == 6.0  # longest first: 7


def test_sixteen_clusters_are_packed_as_well_as_can_be():
    # A perfect packing exists: four groups of 100.
    costs = [47, 33, 12, 8, 41, 29, 19, 11, 53, 27, 17, 3, 61, 23, 9, 7]
    assert makespan(costs, schedule.pack(costs, 4), 4) == 100


def test_many_clusters_are_packed_within_grahams_bound():
    for seed in range(20):
        costs = np.random.default_rng(seed).exponential(size=40)
        for groups in (2, 3, 5):
            best_at_least = max(costs.max(), costs.sum() / groups)
            found = makespan(costs, schedule.pack(costs, groups), groups)
            assert found <= (4 / 3 - 1 / (3 * groups)) * best_at_least


def test_a_packing_is_no_worse_than_the_papers_own():
    """Softmax, quadratic and 2-D on one processor, bowl and fully connected on the other."""
    for seed in range(20):
        costs = np.random.default_rng(seed).exponential(size=5)
        papers = max(costs[:3].sum(), costs[3:].sum())
        assert makespan(costs, schedule.pack(costs, 2), 2) <= papers


def test_more_whole_groups_than_clusters_are_refused():
    with pytest.raises(ArgumentError, match="groups.*3.*no more than 2"):
        schedule.whole([Kind(0, 4, 1.0), Kind(1, 4, 1.0)], 3)


def test_a_cluster_of_several_kinds_stays_whole():
    kinds = [Kind(0, 2, 1.0), Kind(1, 2, 3.0), Kind(0, 4, 1.0)]
    plan = schedule.whole(kinds, 2)
    assert sorted(plan) == [[Part(0, 0, 2), Part(2, 0, 4)], [Part(1, 0, 2)]]
    assert schedule.predicted(plan, kinds) in ([6.0, 6.0], [6.0, 6.0])


def all_tasks(plan):
    return sorted((part.kind, task) for parts in plan for part in parts for task in _range(part))


def _range(part):
    return range(part.start, part.stop)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7])
def test_split_clusters_take_equal_time_and_every_task_is_done_once(groups):
    for seed in range(10):
        generator = np.random.default_rng(seed)
        kinds = [
            Kind(int(cluster), int(tasks), float(seconds))
            for cluster, tasks, seconds in zip(
                [0, 1, 2, 2, 1],
                generator.integers(1, 20, 5),
                generator.exponential(size=5),
                strict=True,
            )
        ]
        if sum(kind.tasks for kind in kinds) < groups:
            continue
        plan = schedule.split(kinds, groups)
        every = [(number, task) for number, kind in enumerate(kinds) for task in range(kind.tasks)]
        assert all_tasks(plan) == sorted(every)
        assert all(plan)
        seconds = schedule.predicted(plan, kinds)
        longest_task = max(kind.seconds for kind in kinds)
        mean = sum(seconds) / groups
        assert max(seconds) <= max(1.1 * mean, mean + longest_task) + 1e-12


def test_no_cluster_is_split_where_whole_ones_fit():
    kinds = [Kind(0, 3, 1.0), Kind(1, 2, 1.0), Kind(2, 1, 1.0)]
    plan = schedule.split(kinds, 2)
    assert sorted(sorted(parts) for parts in plan) == [
        [Part(0, 0, 3)],
        [Part(1, 0, 2), Part(2, 0, 1)],
    ]


def test_a_costly_cluster_is_split_by_tasks():
    kinds = [Kind(0, 10, 1.0), Kind(1, 2, 1.0)]
    plan = schedule.split(kinds, 2)
    assert schedule.predicted(plan, kinds) == [6.0, 6.0]


def test_a_cut_costs_a_start():
    """11 = 5 + 6 against 5 + 1 + 4, where whole clusters would take 12 and 4."""
    kinds = [Kind(0, 7, 1.0, start=5.0), Kind(1, 4, 1.0)]
    plan = schedule.split(kinds, 2)
    assert sorted(schedule.predicted(plan, kinds)) == [10.0, 11.0]


def test_no_cluster_is_split_where_the_start_costs_more_than_is_saved():
    """Whole clusters take 12 and 7; 11 and 18 would be the best cut."""
    kinds = [Kind(0, 2, 1.0, start=10.0), Kind(1, 2, 1.0, start=5.0)]
    assert sorted(schedule.predicted(schedule.split(kinds, 2), kinds)) == [7.0, 12.0]


def test_a_rank_that_is_twice_as_fast_gets_twice_as_much():
    kinds = [Kind(0, 6, 1.0), Kind(1, 3, 1.0)]
    assert schedule.predicted(schedule.split(kinds, 2, [2.0, 1.0]), kinds) == [6.0, 3.0]


def test_every_rank_has_a_task_however_long_another_takes():
    plan = schedule.split([Kind(0, 1, 100.0), Kind(0, 3, 1.0)], 4)
    assert [sum(part.tasks for part in parts) for parts in plan] == [1, 1, 1, 1]


def test_more_ranks_than_tasks_are_refused():
    with pytest.raises(ArgumentError, match="groups.*4.*3 tasks"):
        schedule.split([Kind(0, 3, 1.0)], 4)


def test_idle_share():
    assert schedule.idle_share([2.0, 1.5]) == [0.0, 0.25]
