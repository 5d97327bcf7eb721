"""Clusters laid out over ranks, whole and split."""

import numpy as np
import pytest

from tfmeta.errors import ArgumentError
from tfmeta.scheduling import schedule
from tfmeta.scheduling.schedule import Load, Slice


def test_more_whole_groups_than_clusters_are_refused():
    with pytest.raises(ArgumentError, match="groups.*3.*no more than 2"):
        schedule.whole([Load(0, 4, 1.0), Load(1, 4, 1.0)], 3)


def test_a_cluster_of_several_families_stays_whole():
    loads = [Load(0, 2, 1.0), Load(1, 2, 3.0), Load(0, 4, 1.0)]
    plan = schedule.whole(loads, 2)
    assert sorted(plan) == [[Slice(0, 0, 2), Slice(2, 0, 4)], [Slice(1, 0, 2)]]
    assert schedule.predicted(plan, loads) in ([6.0, 6.0], [6.0, 6.0])


def all_tasks(plan):
    slices = [part for slices in plan for part in slices]
    return sorted((s.family, task) for s in slices for task in range(s.start, s.stop))


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7])
def test_split_clusters_take_equal_time_and_every_task_is_done_once(groups):
    for seed in range(10):
        generator = np.random.default_rng(seed)
        loads = [
            Load(int(cluster), int(tasks), float(seconds))
            for cluster, tasks, seconds in zip(
                [0, 1, 2, 2, 1],
                generator.integers(1, 20, 5),
                generator.exponential(size=5),
                strict=True,
            )
        ]
        if sum(load.tasks for load in loads) < groups:
            continue
        plan = schedule.split(loads, groups)
        every = [(number, task) for number, load in enumerate(loads) for task in range(load.tasks)]
        assert all_tasks(plan) == sorted(every)
        assert all(plan)
        seconds = schedule.predicted(plan, loads)
        longest_task = max(load.seconds for load in loads)
        mean = sum(seconds) / groups
        assert max(seconds) <= max(1.1 * mean, mean + longest_task) + 1e-12


def test_no_cluster_is_split_where_whole_ones_fit():
    loads = [Load(0, 3, 1.0), Load(1, 2, 1.0), Load(2, 1, 1.0)]
    plan = schedule.split(loads, 2)
    assert sorted(sorted(slices) for slices in plan) == [
        [Slice(0, 0, 3)],
        [Slice(1, 0, 2), Slice(2, 0, 1)],
    ]


def test_a_costly_cluster_is_split_by_tasks():
    loads = [Load(0, 10, 1.0), Load(1, 2, 1.0)]
    plan = schedule.split(loads, 2)
    assert schedule.predicted(plan, loads) == [6.0, 6.0]


def test_a_cut_costs_a_start():
    """11 = 5 + 6 against 5 + 1 + 4, where whole clusters would take 12 and 4."""
    loads = [Load(0, 7, 1.0, start=5.0), Load(1, 4, 1.0)]
    plan = schedule.split(loads, 2)
    assert sorted(schedule.predicted(plan, loads)) == [10.0, 11.0]


def test_no_cluster_is_split_where_the_start_costs_more_than_is_saved():
    """Whole clusters take 12 and 7; 11 and 18 would be the best cut."""
    loads = [Load(0, 2, 1.0, start=10.0), Load(1, 2, 1.0, start=5.0)]
    assert sorted(schedule.predicted(schedule.split(loads, 2), loads)) == [7.0, 12.0]


def test_a_rank_that_is_twice_as_fast_gets_twice_as_much():
    loads = [Load(0, 6, 1.0), Load(1, 3, 1.0)]
    assert schedule.predicted(schedule.split(loads, 2, [2.0, 1.0]), loads) == [6.0, 3.0]


def test_every_rank_has_a_task_however_long_another_takes():
    plan = schedule.split([Load(0, 1, 100.0), Load(0, 3, 1.0)], 4)
    assert [sum(part.tasks for part in slices) for slices in plan] == [1, 1, 1, 1]


def test_more_ranks_than_tasks_are_refused():
    with pytest.raises(ArgumentError, match="groups.*4.*3 tasks"):
        schedule.split([Load(0, 3, 1.0)], 4)


def test_idle_share():
    assert schedule.idle_share([2.0, 1.5]) == [0.0, 0.25]
