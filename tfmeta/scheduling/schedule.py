"""Which rank computes which tasks of which cluster, so that all ranks take equal time.

The groups of clusters of Pimpalkhute et al. 2021 (Accelerating Gradient-based Meta Learner), one
group for each rank; and, beyond the paper, clusters that are split where whole ones leave ranks
idle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfmeta.errors import ArgumentError

# Up to so many clusters the best packing is searched for.
_EXACT = 16
# No cluster is cut if without it the longest group takes no more than this times the mean.
_EVEN = 1.1
_HALVINGS = 50  # of the interval in which the time of the longest rank is searched for


class Kind(NamedTuple):
    """Like tasks of one cluster.

    Attributes:
        cluster: the number of the cluster.
        tasks: how many there are in a meta-iteration.
        seconds: predicted time of one of them.
        start: predicted time of any number of them on a rank, beside that of each.
    """

    cluster: int
    tasks: int
    seconds: float
    start: float = 0.0


class Part(NamedTuple):
    """The tasks start, ... stop - 1 of a kind: what one rank computes of it.

    Attributes:
        kind: the number of the kind.
        start: its first task.
        stop: the one after its last task.
    """

    kind: int
    start: int
    stop: int

    @property
    def tasks(self) -> int:
        return self.stop - self.start


# For each rank, what it computes.
Schedule = list[list[Part]]


def pack(costs: Sequence[float], groups: int) -> list[int]:
    """Packs clusters into groups so that the largest group is as small as can be.

    It is the best packing for up to 16 clusters. Beyond, the costliest cluster goes first, each to
    the group that is smallest then, which is within 4/3 - 1/(3 groups) of the best (Graham 1969).

    Args:
        costs: of each cluster, in any unit.
        groups: how many.

    Returns:
        The group of each cluster.

    Raises:
        ArgumentError: more groups than clusters.
    """
    if groups > len(costs):
        raise ArgumentError(
            "groups",
            groups,
            f"each needs a cluster, and there are no more than {len(costs)}; start fewer ranks, "
            "or split clusters (cluster_groups=split).",
        )
    order = sorted(range(len(costs)), key=lambda cluster: -costs[cluster])
    descending = [float(costs[cluster]) for cluster in order]
    places = _longest_first(descending, groups)
    if len(costs) <= _EXACT:
        places = _best(descending, groups, places)
    packing = [0] * len(costs)
    for cluster, place in zip(order, places, strict=True):
        packing[cluster] = place
    return packing


def _longest_first(costs, groups):
    loads, places = [0.0] * groups, []
    for cost in costs:
        place = loads.index(min(loads))
        loads[place] += cost
        places.append(place)
    return places


def _best(costs, groups, places):
    """The best packing of costs in descending order, no worse than `places`; branch and bound."""
    rest = np.cumsum(costs[::-1])[::-1].tolist() + [0.0]
    best, least = list(places), max(_loads(costs, places, groups))
    bound = max(costs[0], rest[0] / groups)
    loads, chosen = [0.0] * groups, [0] * len(costs)

    def assign(number):
        nonlocal best, least
        if number == len(costs):
            best, least = list(chosen), max(loads)
            return
        # What is left has to fit below the best so far.
        if sum(least - load for load in loads) <= rest[number]:
            return
        tried = set()
        for place in sorted(range(groups), key=loads.__getitem__):
            load = loads[place]
            # Groups of one load are alike; and none is of use that grows to the best so far.
            if load in tried or load + costs[number] >= least:
                continue
            tried.add(load)
            loads[place] += costs[number]
            chosen[number] = place
            assign(number + 1)
            loads[place] = load
            if least <= bound:
                return

    assign(0)
    return best


def _loads(costs, places, groups):
    return np.bincount(places, weights=costs, minlength=groups).tolist()


def whole(kinds: Sequence[Kind], groups: int, speeds: Sequence[float] | None = None) -> Schedule:
    """A schedule of whole clusters, as in the paper: `pack` of what they cost.

    Args:
        kinds: of all clusters; every cluster from 0 has one.
        groups: one for each rank.
        speeds: not used: groups are as in the paper, for ranks that are alike.

    Raises:
        ArgumentError: more groups than clusters.
    """
    del speeds
    packing = pack(cluster_costs(kinds), groups)
    schedule: Schedule = [[] for _ in range(groups)]
    for number, kind in enumerate(kinds):
        schedule[packing[kind.cluster]].append(Part(number, 0, kind.tasks))
    return schedule


def split(kinds: Sequence[Kind], groups: int, speeds: Sequence[float] | None = None) -> Schedule:
    """A schedule whose ranks take equal time, as nearly as tasks can be cut apart.

    Whole clusters, where their best packing leaves the longest rank within a tenth of the mean, or
    where cuts would cost more than they save. Else the clusters, in the order of that packing, are
    laid end to end and cut so that the longest rank takes as little as can be (after McNaughton
    1959, whose cuts cost nothing). The tasks of a kind stay together.

    Args:
        kinds: of all clusters; every cluster from 0 has one.
        groups: one for each rank.
        speeds: of the ranks, relative to each other; None where all are as fast.

    Raises:
        ArgumentError: more groups than tasks.
    """
    tasks = sum(kind.tasks for kind in kinds)
    if groups > tasks:
        raise ArgumentError(
            "groups", groups, f"there are {tasks} tasks, and a rank needs one; start fewer ranks."
        )
    speed = np.ones(groups) if speeds is None else np.array(speeds)
    clusters = cluster_costs(kinds)
    packing = pack(clusters, min(groups, len(clusters)))
    order = sorted(
        range(len(kinds)), key=lambda number: (packing[kinds[number].cluster], kinds[number])
    )
    cut = _cut(kinds, order, speed)
    if groups <= len(clusters):
        uncut = whole(kinds, groups)
        taken = np.array(predicted(uncut, kinds)) / speed
        if taken.max() <= max(_EVEN * taken.mean(), *predicted(cut, kinds) / speed):
            return uncut
    return cut


def _cut(kinds, order, speed):
    """Kinds laid end to end in that order, and cut for the least time of the longest rank."""
    low, high = 0.0, sum(cluster_costs(kinds)) / speed.min()
    schedule = _filled(kinds, order, high * speed)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _filled(kinds, order, middle * speed)
        if found is None:
            low = middle
        else:
            schedule, high = found, middle
    return schedule


def _filled(kinds, order, capacities):
    """What each rank can do within its time, one rank after the other; None if some is left."""
    waiting = [(number, 0) for number in reversed(order)]
    left = sum(kind.tasks for kind in kinds)
    schedule: Schedule = []
    for rank, room in enumerate(capacities):
        parts = []
        most = left - (len(capacities) - rank - 1)  # every rank to come needs a task
        while waiting and most:
            number, done = waiting.pop()
            kind = kinds[number]
            # Rounding must not cost a task.
            fitting = int((room - kind.start) / kind.seconds * (1 + 1e-9))
            count = min(kind.tasks - done, fitting, most)
            if count > 0:
                parts.append(Part(number, done, done + count))
                room -= kind.start + count * kind.seconds
                most, left, done = most - count, left - count, done + count
            if done < kind.tasks:
                waiting.append((number, done))
                break
        if not parts:
            return None
        schedule.append(parts)
    return None if left else schedule


def cluster_costs(kinds: Sequence[Kind]) -> list[float]:
    """Predicted seconds of each cluster."""
    clusters = 1 + max(kind.cluster for kind in kinds)
    costs = [0.0] * clusters
    for kind in kinds:
        costs[kind.cluster] += kind.start + kind.tasks * kind.seconds
    return costs


def predicted(schedule: Schedule, kinds: Sequence[Kind]) -> list[float]:
    """Seconds that each rank will take."""
    return [sum(seconds_of(part, kinds) for part in parts) for parts in schedule]


def seconds_of(part: Part, kinds: Sequence[Kind]) -> float:
    """Predicted seconds of a part."""
    kind = kinds[part.kind]
    return kind.start + part.tasks * kind.seconds


def idle_share(seconds: Sequence[float]) -> list[float]:
    """The share of a meta-iteration in which each rank waits for the one that takes longest."""
    return [1 - taken / max(seconds) for taken in seconds]
