"""The training of an update rule on clusters of problems, in groups of equal time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.errors import ArgumentError
from tfmeta.learners.optimizer_learner import OptimizerLearner, mean_of_finite
from tfmeta.problems.base import ProblemFamily
from tfmeta.scheduling import costs, schedule
from tfmeta.scheduling.costs import Cost
from tfmeta.scheduling.schedule import Kind, Part
from tfmeta.scheduling.truncation import Lengths

# Ranks compare their times after so many meta-iterations of a schedule that is new, and every so
# many later; they pack anew if the longest takes so much more than their mean, and another packing
# promises to take so much less.
COMPARE_FIRST = 3
_COMPARE_EVERY = 10
_IMBALANCE = 0.1
_GAIN = 0.05

# Seconds, and the steps they were for, by family and number of problems.
Clock = dict[tuple[int, int], tuple[float, int]]


class ClusterLoop:
    """Meta-iterations over clusters of problems (Pimpalkhute et al. 2021).

    In a meta-iteration problems of all families are trained from their start. Families that are
    alike form a cluster; clusters run side by side, a group of them on each rank, and the rule
    moves by the mean of what they want. The groups take equal time, by the times measured so far.
    All clusters begin at the same parameters, so the order in which a rank takes them, which the
    paper leaves open, makes no difference but for rounding.

    Args:
        learner: compiled; every rank has the same.
        families: of problems. A family, whose problems have weights of the same shapes, is the
            smallest thing that is put into a cluster.
        clusters: the cluster of each family, numbered from 0.
        problems: how many of each family in a meta-iteration, of all ranks together.
        cluster_groups: `"split"` cuts a cluster that costs more than a rank's share, between its
            problems; `"whole"` does not, as in the paper.
        average_over: `"clusters"`, each of which counts once, as in the paper; or `"tasks"`, each
            of which counts once.
        within_cluster: `"accumulate"` runs the problems of a cluster at the same parameters and
            moves them once for each unroll, by the merged gradient. `"update"` gives each cluster
            a copy of the rule and of its outer optimizer, which moves after every unroll of one
            problem after the other; the changes of all copies are averaged (the other reading of
            the paper's figure 5). With one cluster that is the sequential training of the paper's
            figure 2.
        seed: of the order of a cluster's problems in `"update"`.
        times: of an earlier loop on as many ranks whose families cost the same, which packs the
            groups at first.

    Attributes:
        schedule: what each rank computes, see `tfmeta.scheduling.schedule`.
        kinds: what is scheduled.
        busy: seconds of the last meta-iteration in which this rank had work of its own, rather than
            waited for the others or moved the rule.
        times: seconds of a step of so many problems of each family, as last measured; every rank
            has all.
        comparisons: of the ranks' times: dictionaries with `step`, for each rank the `measured`
            seconds of a meta-iteration and those `predicted` (None for the first comparison), and
            `packed_anew`, whether another schedule follows; every rank has all.

    Raises:
        ArgumentError: fewer clusters, or problems, than ranks; or copies are to be updated of
            clusters that are split.
    """

    def __init__(
        self,
        learner: OptimizerLearner,
        families: Sequence[ProblemFamily],
        clusters: Sequence[int],
        problems: int,
        cluster_groups: str = "split",
        average_over: str = "clusters",
        within_cluster: str = "accumulate",
        seed: int = 0,
        times: Sequence[Mapping[int, float]] | None = None,
    ):
        if within_cluster == "update" and cluster_groups == "split" and distributed.size() > 1:
            raise ArgumentError(
                "within_cluster",
                within_cluster,
                "a cluster that is updated problem by problem cannot be split over ranks; give "
                "cluster_groups=whole.",
            )
        self.learner = learner
        self.families = list(families)
        self.problems = problems
        self.pack = schedule.whole if cluster_groups == "whole" else schedule.split
        self.average_over = average_over
        self.within_cluster = within_cluster
        self.seed = seed
        self.comparisons: list[dict[str, Any]] = []
        self.busy = 0.0
        self._clock: Clock = {}
        self.times = [dict(known) for known in times or [{}] * len(self.families)]
        learner.optimizer.build(learner.trainable_variables)
        # Until there are times, every problem is taken to cost the same, on every rank.
        self._costs = [Cost(0.0, 1.0)] * len(self.families)
        if all(self.times):
            self._costs = [costs.fit(known) for known in self.times]
        self._speeds = np.ones(distributed.size())
        self._uneven = False  # at the last comparison
        self._zeros = [
            tf.zeros([], learner.rule.dtype),
            *(tf.zeros_like(variable.value) for variable in learner.rule.trainable_variables),
        ]
        self.set_clusters(clusters)

    def set_clusters(self, clusters: Sequence[int]) -> None:
        """Puts the families into other clusters; every rank calls it.

        Args:
            clusters: the cluster of each family, numbered from 0.
        """
        self.kinds = [
            Kind(int(cluster), self.problems, cost.seconds, cost.start)
            for cluster, cost in zip(clusters, self._costs, strict=True)
        ]
        self.schedule = self.pack(self.kinds, distributed.size(), self._speeds.tolist())
        sizes = np.bincount(clusters) * self.problems
        self.clusters = len(sizes)
        counts = self.clusters * sizes[list(clusters)]
        if self.average_over == "tasks":
            counts = np.full(len(self.families), sizes.sum())
        # What each problem of a family counts for.
        self.shares = [tf.constant(1.0 / count, self.learner.rule.dtype) for count in counts]
        # Meta-iterations on the clock; it starts after the first of a schedule, which traces.
        self._since = -1

    def __call__(self, step: int, lengths: Lengths) -> float:
        """One meta-iteration; every rank calls it.

        Args:
            step: the address of the problems.
            lengths: the number of steps of each unroll.

        Returns:
            The mean of the meta-loss over those unrolls where it is finite; NaN where it is in
            none.
        """
        return mean_of_finite(list(self.updates(step, lengths)))

    def updates(self, step: int, lengths: Lengths) -> Iterator[float]:
        """One meta-iteration, update by update of the rule; every rank goes through all of them.

        Args:
            step, lengths: as of a call.

        Yields:
            The meta-loss of each unroll, after the update that followed it.
        """
        parts = self.schedule[distributed.rank()]
        run = self._accumulate if self.within_cluster == "accumulate" else self._update_copies
        self.busy = 0.0
        yield from run(parts, step, lengths)
        self._since += 1
        if self._since == 0:
            self._clock.clear()
        settled = self.comparisons and not self.comparisons[-1]["packed_anew"]
        if self._since == (_COMPARE_EVERY if settled else COMPARE_FIRST):
            self._compare(step, sum(lengths.steps))

    def _accumulate(self, parts, step, lengths):
        """All clusters at the same parameters; the rule moves after every unroll."""
        running = [self._begin(part, step) for part in parts]
        done = 0
        for length in lengths.steps:
            total = self._zeros
            for number, part in enumerate(parts):
                total, running[number] = self._unroll(
                    part, running[number], total, done, length, lengths.fixed
                )
            yield self.learner.graph("merge", self._merge)(total)
            done += length

    def _update_copies(self, parts, step, lengths):
        """Each cluster moves a copy of the rule, problem by problem; their changes are averaged."""
        if self.clusters == 1:  # the rule itself is the copy
            yield from self._update_one_by_one(parts, 0, step, lengths)
            return
        optimizer = self.learner.optimizer
        variables = [
            *self.learner.rule.trainable_variables,
            *(v for v in optimizer.variables if v.name not in ("iteration", "learning_rate")),
        ]
        start = [tf.identity(variable.value) for variable in variables]
        updates = int(optimizer.iterations)
        changes = [tf.zeros_like(tensor) for tensor in start]
        losses = []
        for cluster in sorted({self.kinds[part.kind].cluster for part in parts}):
            _assign(variables, start)
            optimizer.iterations.assign(updates)
            losses += self._update_one_by_one(parts, cluster, step, lengths)
            changes = [
                change + (variable.value - first) / self.clusters
                for change, variable, first in zip(changes, variables, start, strict=True)
            ]
        merged = distributed.add(changes)
        _assign(variables, [first + change for first, change in zip(start, merged, strict=True)])
        most = max(np.bincount([k.cluster for k in self.kinds], [k.tasks for k in self.kinds]))
        optimizer.iterations.assign(updates + int(most) * len(lengths.steps))
        yield from np.concatenate(distributed.gather_objects(losses))

    def _update_one_by_one(self, parts, cluster, step, lengths):
        """Trains the problems of a cluster in turn; the rule moves after every unroll of each."""
        move = self.learner.graph("move", self._move)
        for part in self._in_turn(parts, cluster, step):
            running, done = self._begin(part, step), 0
            for length in lengths.steps:
                total, running = self._unroll(
                    part, running, self._zeros, done, length, lengths.fixed
                )
                yield float(move(total, self.shares[part.kind]))
                done += length

    def _in_turn(self, parts, cluster, step):
        problems = [
            Part(part.kind, number, number + 1)
            for part in parts
            if self.kinds[part.kind].cluster == cluster
            for number in range(part.start, part.stop)
        ]
        order = np.random.default_rng([self.seed, step, cluster]).permutation(len(problems))
        return [problems[number] for number in order]

    def _merge(self, total):
        loss, *gradients = self.learner.merged(total)
        self.learner.apply(gradients)
        return loss

    def _move(self, total, share):
        # Alone, a problem counts for all.
        loss, *gradients = [x / share for x in total]
        self.learner.apply(gradients)
        return loss

    # Parts.

    def _begin(self, part, step):
        family, count = self.families[part.kind], self._known_count(part)

        def begin(step, first, last):
            tasks = family.batch(step, first, last)
            if count is not None:
                tasks = engine.of_count(tasks, count)
            return tasks, self.learner.start(family, tasks)

        graph = self.learner.graph(("begin", family, count), begin)
        started = time.perf_counter()
        tasks, carried = graph(tf.constant(step), tf.constant(part.start), tf.constant(part.stop))
        carried.first_loss.numpy()  # the time is that of the work, not of its start
        self.busy += time.perf_counter() - started
        return tasks, carried

    def _unroll(self, part, running, total, done, steps, fixed):
        """Adds the meta-loss and its gradient, times the family's share, to those so far."""
        family, count = self.families[part.kind], self._known_count(part)

        def unroll(tasks, carried, total, share, first_step, steps):
            gradients, unroll = self.learner.own_gradient(family, tasks, carried, first_step, steps)
            total = [
                so_far + share * new
                for so_far, new in zip(total, [unroll.loss, *gradients], strict=True)
            ]
            return total, unroll.carried

        graph = self.learner.graph(("unroll", family, count), unroll)
        tasks, carried = running
        started = time.perf_counter()
        total, carried = graph(
            tasks,
            carried,
            total,
            self.shares[part.kind],
            tf.constant(done),
            steps if fixed else tf.constant(steps),
        )
        total[0].numpy()
        seconds = time.perf_counter() - started
        self.busy += seconds
        _add(self._clock, {(part.kind, part.tasks): (seconds, steps)})
        return total, (tasks, carried)

    def _known_count(self, part):
        """The number of problems that a part's graph is built for; None if it does for any.

        Problems that run as one are quicker where it is known, and so is one alone; those that run
        one by one are not, and need no graph of their own for every packing.
        """
        known = part.tasks == 1 or self.families[part.kind].stackable
        return part.tasks if known else None

    # Times.

    def _compare(self, step, steps):
        """Tells the ranks each other's times, and packs anew if they differ."""
        clocks = distributed.gather_objects(self._clock)
        of_all: Clock = {}
        for clock in clocks:
            _add(of_all, clock)
        for (kind, tasks), (seconds, done) in of_all.items():
            self.times[kind][tasks] = seconds / done
        # Without drawing the problems, which is a small part.
        measured = np.array([sum(s for s, _ in clock.values()) for clock in clocks]) / self._since
        self._costs = [
            Cost(*(steps * seconds for seconds in costs.fit(times))) for times in self.times
        ]
        kinds = [
            kind._replace(seconds=cost.seconds, start=cost.start)
            for kind, cost in zip(self.kinds, self._costs, strict=True)
        ]
        predicted = schedule.predicted(self.schedule, self.kinds)
        # Ranks differ in speed too, if only by what else their cores do.
        self._speeds = np.array(schedule.predicted(self.schedule, kinds)) / measured
        better = self.pack(kinds, distributed.size(), self._speeds.tolist())
        gain = 1 - max(schedule.predicted(better, kinds) / self._speeds) / max(measured)
        uneven = measured.max() > (1 + _IMBALANCE) * measured.mean() and gain > _GAIN
        # A machine stumbles now and then: after the first time it has to be so twice.
        packed_anew = uneven and (self._uneven or not self.comparisons)
        self.comparisons.append(
            {
                "step": step,
                "predicted": predicted if self.comparisons else None,
                "measured": measured.tolist(),
                "packed_anew": bool(packed_anew),
            }
        )
        if packed_anew:
            self.schedule = better
        self._uneven = uneven
        self.kinds = kinds
        self._clock.clear()
        self._since = -1 if packed_anew else 0


def _add(clock: Clock, more: Clock) -> None:
    """Adds what a clock measured to another."""
    for key, (seconds, steps) in more.items():
        before = clock.get(key, (0.0, 0))
        clock[key] = before[0] + seconds, before[1] + steps


def _assign(variables, tensors):
    for variable, tensor in zip(variables, tensors, strict=True):
        variable.assign(tensor)
