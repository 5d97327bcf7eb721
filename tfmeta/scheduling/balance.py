"""A schedule that is packed anew by the times that the ranks take."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfmeta import distributed
from tfmeta.registry import PACKINGS
from tfmeta.scheduling import costs
from tfmeta.scheduling.costs import Cost
from tfmeta.scheduling.schedule import Load, Schedule, Slice, predicted

# Ranks compare their times after so many meta-iterations of a schedule that is new, and every so
# many later; they pack anew if another packing promises to take so much less.
COMPARE_FIRST = 3
_COMPARE_EVERY = 10
_GAIN = 0.05

# Seconds, and the steps they were for, by family and number of problems.
Clock = dict[tuple[int, int], tuple[float, int]]


class BalancedSchedule:
    """Clusters laid out over the ranks so that all take equal time, by the times measured so far.

    Ranks tell each other their times now and then, and pack the clusters anew where that promises
    to save time. Every rank has an object of its own, and calls the same methods.

    Args:
        clusters: the cluster of each family, numbered from 0.
        tasks: the number of problems of each family in a meta-iteration, of all ranks together.
        cluster_groups: one of `registry.PACKINGS`. `"split"` cuts a cluster that costs more than a
            rank's share, between its problems; `"whole"` does not, as in the paper.
        times: of an earlier schedule on as many ranks whose families cost the same, which packs the
            groups at first.

    Attributes:
        adapts: True: it is to be told the times of slices, by `clock`.
        cuts_clusters: whether a cluster may be on more than one rank.
        loads: of each family.
        slices: for each rank, what it computes.
        busy: seconds of the last meta-iteration in which this rank had work of its own, rather than
            waited for the others or moved the rule.
        times: seconds of a step of so many problems of each family, with its share of drawing them,
            as last measured; every rank has all.
        comparisons: of the ranks' times: dictionaries with `step`, for each rank the `measured`
            seconds of a meta-iteration and those `predicted` (None for the first comparison), and
            `packed_anew`, whether another schedule follows; every rank has all.
        held: set it to keep the slices as they are from then on; times are still compared.

    Raises:
        ArgumentError: fewer clusters, or problems, than ranks.
    """

    adapts = True

    def __init__(
        self,
        clusters: Sequence[int],
        tasks: int,
        cluster_groups: str = "split",
        times: Sequence[Mapping[int, float]] | None = None,
    ):
        self._pack = PACKINGS[PACKINGS.check("cluster_groups", cluster_groups)]
        self.cuts_clusters = cluster_groups == "split"
        self.tasks = tasks
        self.comparisons: list[dict[str, Any]] = []
        self.busy = 0.0
        self.held = False
        self.times = [dict(known) for known in times or [{}] * len(clusters)]
        # Of a step. Until there are times, all problems are taken to cost the same, on every rank.
        self._costs = [Cost(0.0, 1.0)] * len(clusters)
        if all(self.times):
            self._costs = [costs.fit(known) for known in self.times]
        self._speeds = np.ones(distributed.size())
        self._clock: Clock = {}
        self._was_worth_it = False  # at the last comparison
        self._steps = 0  # of a problem, while the clock ran
        self.set_clusters(clusters)

    def set_clusters(self, clusters: Sequence[int]) -> None:
        """Puts the families into other clusters; every rank calls it.

        Args:
            clusters: the cluster of each family, numbered from 0.
        """
        self.loads = [
            Load(int(cluster), self.tasks, cost.seconds, cost.start)
            for cluster, cost in zip(clusters, self._costs, strict=True)
        ]
        self.slices = self._packed(self.loads)
        # Meta-iterations on the clock; it starts after the first of a schedule, which traces.
        self._since = -1

    def begin(self) -> None:
        """A meta-iteration begins."""
        self.busy = 0.0

    @contextmanager
    def clock(self, part: Slice, steps: int = 0) -> Iterator[None]:
        """Takes the time of what is done within this context.

        Args:
            part: what it is done for.
            steps: how many steps are taken of each of its problems; none, as when they are drawn,
                which is put on the steps that follow.
        """
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.busy += seconds
        _add(self._clock, {(part.family, part.tasks): (seconds, steps)})

    def end(self, step: int, steps: int) -> None:
        """A meta-iteration has ended; compares times if it is time to. Every rank calls it.

        Args:
            step: the number of the meta-iteration.
            steps: of each of its problems.
        """
        self._since += 1
        self._steps += steps
        if self._since == 0:
            self._clear()
        settled = self.comparisons and not self.comparisons[-1]["packed_anew"]
        if self._since == (_COMPARE_EVERY if settled else COMPARE_FIRST):
            self._compare(step)

    def _packed(self, loads: Sequence[Load]) -> Schedule:
        return self._pack(loads, distributed.size(), self._speeds.tolist())

    def _expected(self) -> list[Load]:
        """The load of each family in a meta-iteration as long as those on the clock."""
        steps = self._steps / self._since
        return [
            load._replace(seconds=steps * cost.seconds, start=steps * cost.start)
            for load, cost in zip(self.loads, self._costs, strict=True)
        ]

    def _clear(self) -> None:
        self._clock.clear()
        self._steps = 0

    def _compare(self, step: int) -> None:
        """Tells the ranks each other's times, and packs anew if that promises to save time."""
        clocks = distributed.gather_objects(self._clock)
        of_all: Clock = {}
        for clock in clocks:
            _add(of_all, clock)
        for (family, tasks), (seconds, done) in of_all.items():
            self.times[family][tasks] = seconds / done
        measured = np.array([sum(s for s, _ in clock.values()) for clock in clocks]) / self._since
        before = predicted(self.slices, self._expected())
        self._costs = [costs.fit(times) for times in self.times]
        loads = self._expected()
        # Ranks differ in speed too, if only by what else their cores do.
        self._speeds = np.array(predicted(self.slices, loads)) / measured
        better = self._packed(loads)
        worth_it = max(predicted(better, loads) / self._speeds) < (1 - _GAIN) * max(measured)
        # A machine stumbles now and then: after the first time it has to be so twice.
        packed_anew = worth_it and (self._was_worth_it or not self.comparisons) and not self.held
        self.comparisons.append(
            {
                "step": step,
                "predicted": before if self.comparisons else None,
                "measured": measured.tolist(),
                "packed_anew": bool(packed_anew),
            }
        )
        if packed_anew:
            self.slices = better
        self._was_worth_it = worth_it
        self.loads = loads
        self._clear()
        self._since = -1 if packed_anew else 0


def _add(clock: Clock, more: Clock) -> None:
    """Adds what a clock measured to another."""
    for key, (seconds, steps) in more.items():
        before = clock.get(key, (0.0, 0))
        clock[key] = before[0] + seconds, before[1] + steps
