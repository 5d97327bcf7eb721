"""Which rank computes which problems of which cluster, so that all ranks take equal time.

The groups of clusters of Pimpalkhute et al. 2021 (Accelerating Gradient-based Meta Learner), one
group for each rank; and, beyond the paper, clusters that are split where whole ones leave ranks
idle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfmeta.errors import ArgumentError
from tfmeta.scheduling.packing import pack

# No cluster is cut if without it the longest group takes no more than this times the mean.
_EVEN = 1.1
_HALVINGS = 50  # of the interval in which the time of the longest rank is searched for


class Load(NamedTuple):
    """What the problems of one family ask of the ranks in a meta-iteration.

    Attributes:
        cluster: the number of the family's cluster.
        tasks: the number of problems.
        seconds: predicted time of one of them.
        start: predicted time of any number of them on a rank, beside that of each.
    """

    cluster: int
    tasks: int
    seconds: float
    start: float = 0.0


class Slice(NamedTuple):
    """The problems start, ... stop - 1 of a family: what one rank computes of it.

    Attributes:
        family: the number of the family.
        start: its first problem.
        stop: the one after its last problem.
    """

    family: int
    start: int
    stop: int

    @property
    def tasks(self) -> int:
        """The number of problems."""
        return self.stop - self.start


# For each rank, what it computes.
Schedule = list[list[Slice]]


def whole(loads: Sequence[Load], groups: int, speeds: Sequence[float] | None = None) -> Schedule:
    """A schedule of whole clusters, as in the paper: `pack` of what they cost.

    Args:
        loads: of all families; every cluster from 0 has one.
        groups: one for each rank.
        speeds: not used: groups are as in the paper, for ranks that are alike.

    Raises:
        ArgumentError: more groups than clusters.
    """
    del speeds
    packing = pack(cluster_costs(loads), groups)
    schedule: Schedule = [[] for _ in range(groups)]
    for number, load in enumerate(loads):
        schedule[packing[load.cluster]].append(Slice(number, 0, load.tasks))
    return schedule


def split(loads: Sequence[Load], groups: int, speeds: Sequence[float] | None = None) -> Schedule:
    """A schedule whose ranks take equal time, as nearly as problems can be cut apart.

    Whole clusters, where their best packing leaves the longest rank within a tenth of the mean, or
    where cuts would cost more than they save. Else the clusters, in the order of that packing, are
    laid end to end and cut so that the longest rank takes as little as can be (after McNaughton
    1959, whose cuts cost nothing). The problems of a family stay together.

    Args:
        loads: of all families; every cluster from 0 has one.
        groups: one for each rank.
        speeds: of the ranks, relative to each other; None where all are as fast.

    Raises:
        ArgumentError: more groups than problems.
    """
    tasks = sum(load.tasks for load in loads)
    if groups > tasks:
        raise ArgumentError(
            "groups", groups, f"there are {tasks} tasks, and a rank needs one; start fewer ranks."
        )
    speed = np.ones(groups) if speeds is None else np.array(speeds)
    clusters = cluster_costs(loads)
    packing = pack(clusters, min(groups, len(clusters)))
    order = sorted(
        range(len(loads)), key=lambda number: (packing[loads[number].cluster], loads[number])
    )
    cut = _cut(loads, order, speed)
    if groups <= len(clusters):
        uncut = whole(loads, groups)
        taken = np.array(predicted(uncut, loads)) / speed
        if taken.max() <= max(_EVEN * taken.mean(), *predicted(cut, loads) / speed):
            return uncut
    return cut


def _cut(loads: Sequence[Load], order: Sequence[int], speed: np.ndarray) -> Schedule:
    """Loads laid end to end in that order, and cut for the least time of the longest rank."""
    low, high = 0.0, sum(cluster_costs(loads)) / speed.min()
    schedule = _filled(loads, order, high * speed)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _filled(loads, order, middle * speed)
        if found is None:
            low = middle
        else:
            schedule, high = found, middle
    # Nobody is short of time in what one rank alone would take.
    assert schedule is not None
    return schedule


def _filled(
    loads: Sequence[Load], order: Sequence[int], capacities: Sequence[float]
) -> Schedule | None:
    """What each rank can do within its time, one rank after the other; None if some is left."""
    waiting = [(number, 0) for number in reversed(order)]
    left = sum(load.tasks for load in loads)
    schedule: Schedule = []
    for rank, room in enumerate(capacities):
        slices = []
        most = left - (len(capacities) - rank - 1)  # every rank to come needs a problem
        while waiting and most:
            number, done = waiting.pop()
            load = loads[number]
            # Rounding must not cost a problem.
            fitting = int((room - load.start) / load.seconds * (1 + 1e-9))
            count = min(load.tasks - done, fitting, most)
            if count > 0:
                slices.append(Slice(number, done, done + count))
                room -= load.start + count * load.seconds
                most, left, done = most - count, left - count, done + count
            if done < load.tasks:
                waiting.append((number, done))
                break
        if not slices:
            return None
        schedule.append(slices)
    return None if left else schedule


def cluster_costs(loads: Sequence[Load]) -> list[float]:
    """Predicted seconds of each cluster."""
    clusters = 1 + max(load.cluster for load in loads)
    costs = [0.0] * clusters
    for load in loads:
        costs[load.cluster] += load.start + load.tasks * load.seconds
    return costs


def predicted(schedule: Schedule, loads: Sequence[Load]) -> list[float]:
    """Seconds that each rank will take."""
    return [sum(seconds_of(part, loads) for part in slices) for slices in schedule]


def seconds_of(part: Slice, loads: Sequence[Load]) -> float:
    """Predicted seconds of a slice."""
    load = loads[part.family]
    return load.start + part.tasks * load.seconds


def idle_share(seconds: Sequence[float]) -> list[float]:
    """The share of a meta-iteration in which each rank waits for the one that takes longest."""
    return [1 - taken / max(seconds) for taken in seconds]
