"""Clusters packed into groups, so that the largest group is as small as can be."""

from collections.abc import Sequence

import numpy as np

from tfmeta.errors import ArgumentError

# Up to so many clusters the best packing is searched for.
_EXACT = 16


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


def _longest_first(costs: list[float], groups: int) -> list[int]:
    loads, places = [0.0] * groups, []
    for cost in costs:
        place = loads.index(min(loads))
        loads[place] += cost
        places.append(place)
    return places


def _best(costs: list[float], groups: int, places: list[int]) -> list[int]:
    """The best packing of costs in descending order, no worse than `places`; branch and bound."""
    rest = np.cumsum(costs[::-1])[::-1].tolist() + [0.0]
    best, least = list(places), max(np.bincount(places, weights=costs, minlength=groups).tolist())
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
