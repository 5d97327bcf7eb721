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
# No cluster is cut if without it the longest group takes no more than this times the mean: parts of
# a cluster that runs as one cost more than their share of its tasks.
_EVEN = 1.1


class Kind(NamedTuple):
    """Like tasks of one cluster.

    Attributes:
        cluster: the number of the cluster.
        tasks: how many there are in a meta-iteration.
        seconds: predicted time of one of them.
    """

    cluster: int
    tasks: int
    seconds: float


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
    """A schedule whose ranks take equal time, but for half a task at each cut.

    Whole clusters, where their best packing leaves the longest rank within a tenth of the mean.
    Else the clusters, in the order of that packing, are laid end to end and cut into pieces of
    equal time (McNaughton 1959). The tasks of a kind stay together.

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
    if groups <= len(clusters):
        uncut = whole(kinds, groups)
        taken = np.array(predicted(uncut, kinds)) / speed
        if taken.max() <= _EVEN * taken.mean():
            return uncut
    order = sorted(
        range(len(kinds)), key=lambda number: (packing[kinds[number].cluster], kinds[number])
    )
    owners = np.repeat(order, [kinds[number].tasks for number in order])
    seconds = np.array([kinds[number].seconds for number in owners])
    # A task belongs to the rank in whose time its middle falls; and every rank has one.
    middles = np.cumsum(seconds) - seconds / 2
    ranks = np.arange(1, groups)
    shares = np.cumsum(speed)
    cuts = np.searchsorted(middles, seconds.sum() * shares[:-1] / shares[-1]) - ranks
    cuts = np.clip(np.maximum.accumulate(cuts), 0, tasks - groups) + ranks
    schedule: Schedule = []
    done = [0] * len(kinds)
    for mine in np.split(owners, cuts):
        counts = {number: int(np.sum(mine == number)) for number in dict.fromkeys(mine.tolist())}
        schedule.append([Part(n, done[n], done[n] + count) for n, count in counts.items()])
        for number, count in counts.items():
            done[number] += count
    return schedule


def cluster_costs(kinds: Sequence[Kind]) -> list[float]:
    """Predicted seconds of each cluster."""
    clusters = 1 + max(kind.cluster for kind in kinds)
    costs = [0.0] * clusters
    for kind in kinds:
        costs[kind.cluster] += kind.tasks * kind.seconds
    return costs


def predicted(schedule: Schedule, kinds: Sequence[Kind]) -> list[float]:
    """Seconds that each rank will take."""
    return [sum(part.tasks * kinds[part.kind].seconds for part in parts) for parts in schedule]


def idle_share(seconds: Sequence[float]) -> list[float]:
    """The share of a meta-iteration in which each rank waits for the one that takes longest."""
    return [1 - taken / max(seconds) for taken in seconds]
