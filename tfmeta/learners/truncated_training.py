"""The training of an update rule by truncated unrolls: the one loop over unrolls."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.checks import check_choice
from tfmeta.environment import memory
from tfmeta.errors import ArgumentError
from tfmeta.learners.estimators import Carried
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.problems.base import ProblemFamily
from tfmeta.scheduling.balance import BalancedSchedule
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.scheduling.schedule import Slice
from tfmeta.scheduling.truncation import Lengths

_T = TypeVar("_T")

# Problems of a slice, and where they stand.
Running = tuple[engine.Tasks, Carried]

# What counts once in the merged gradient.
AVERAGES = ("clusters", "tasks")


class TruncatedTraining:
    """Meta-iterations: problems are trained from their start, the rule moves after every unroll.

    In a meta-iteration problems of all families are trained. Families that are alike form a cluster
    (Pimpalkhute et al. 2021); clusters run side by side on the ranks, as a schedule says, and the
    rule moves by the mean of what they want. All clusters of an unroll begin at the same
    parameters, so the order in which a rank takes them, which the paper leaves open, makes no
    difference but for rounding. Plain training has one family, and shares its problems evenly.

    Every rank has an object of its own, and calls the same methods. Gradients are summed over the
    ranks once for each update of the rule.

    Args:
        learner: compiled; every rank has the same.
        families: of problems. A family, whose problems have weights of the same shapes, is the
            smallest thing that is put into a cluster.
        schedule: which rank computes what: an `EvenSchedule` for one family, a `BalancedSchedule`
            for clusters.
        average_over: `"clusters"`, each of which counts once, as in the paper; or `"tasks"`, each
            problem counts once.
        seed: of what is drawn beside the problems.

    Raises:
        ArgumentError: `average_over` is neither; or the problems of a rank, their copies, and what
            the rule remembers of them do not fit in memory.
    """

    def __init__(
        self,
        learner: OptimizerLearner,
        families: Sequence[ProblemFamily],
        schedule: EvenSchedule | BalancedSchedule,
        average_over: str = "clusters",
        seed: int = 0,
    ):
        self.learner = learner
        self.families = list(families)
        self.schedule = schedule
        self.average_over = check_choice("average_over", average_over, AVERAGES)
        self.seed = seed
        learner.optimizer.build(learner.trainable_variables)
        self._zeros = [
            tf.zeros([2], learner.rule.dtype),
            *(tf.zeros_like(variable.value) for variable in learner.rule.trainable_variables),
        ]
        self._weigh()
        self._check_memory()

    @classmethod
    def moves(cls, schedule: BalancedSchedule) -> int:
        """How often the rule moves when the problems of a schedule are unrolled once."""
        return 1

    def set_clusters(self, clusters: Sequence[int]) -> None:
        """Puts the families into other clusters; every rank calls it.

        Args:
            clusters: the cluster of each family, numbered from 0.
        """
        if self.learner.clusters is not None:
            self.learner.clusters.assign(clusters)
        self.schedule.set_clusters(clusters)
        self._weigh()

    def take_clusters(self) -> None:
        """Goes on in the clusters that the learner keeps, if it does; every rank calls it."""
        kept = self.learner.clusters
        if kept is not None and kept.numpy().tolist() != [
            load.cluster for load in self.schedule.loads
        ]:
            self.set_clusters(kept.numpy())

    def _weigh(self) -> None:
        """How many problems a cluster has, and what it and each of them count for in the mean."""
        loads, self.sizes = self.schedule.loads, sizes(self.schedule)
        even = np.ones(len(self.sizes)) if self.average_over == "clusters" else self.sizes
        self.shares = even / even.sum()
        self.weights = [
            tf.constant(share, self.learner.rule.dtype)
            for share in (self.shares / self.sizes)[[load.cluster for load in loads]]
        ]

    def __call__(self, step: int, lengths: Lengths) -> float:
        """One meta-iteration; every rank calls it.

        Args:
            step: the address of the problems.
            lengths: the number of steps of each unroll.

        Returns:
            The mean of the meta-loss over the unrolls; of an unroll it is the mean over those
            problems of which it is finite. NaN where it is of none.
        """
        return _mean_of_finite(list(self.updates(step, lengths)))

    def updates(self, step: int, lengths: Lengths) -> Iterator[Any]:
        """One meta-iteration, update by update of the rule; every rank goes through all of them.

        Args:
            step, lengths: as of a call.

        Yields:
            The meta-loss of each unroll, a scalar, after the update that followed it.
        """
        self.schedule.begin()
        yield from self._updates(step, lengths)
        self.schedule.end(step, sum(lengths.steps))

    def _updates(self, step: int, lengths: Lengths) -> Iterator[Any]:
        running = self.begin(step)
        for first, steps in unrolls(lengths):
            loss, running = self.update(running, first, steps)
            yield loss

    @property
    def slices(self) -> list[Slice]:
        """What this rank computes."""
        return self.schedule.slices[distributed.rank()]

    def begin(self, step: int) -> list[Running]:
        """The problems of each of this rank's slices, before their first step.

        Args:
            step: the address of the problems.
        """
        return [self._begin(part, step) for part in self.slices]

    def update(
        self, running: Sequence[Running], first: tf.Tensor, steps: tf.Tensor | int
    ) -> tuple[tf.Tensor, list[Running]]:
        """An unroll of all slices, at the same parameters, and the update of the rule.

        Args:
            running: the problems of each slice.
            first: how many steps they have taken.
            steps: how many to take; a tensor where it differs from call to call.

        Returns:
            The meta-loss, a scalar, and the problems after the unroll.
        """
        if not self.schedule.adapts:
            return self._unroll_and_move(running, first, steps)
        total, after = self._zeros, []
        for part, problems in zip(self.slices, running, strict=True):
            total, problems = self._unroll(
                part, problems, total, self.weights[part.family], first, steps
            )
            after.append(problems)
        return self._move(total), after

    def _check_memory(self) -> None:
        """Refuses what would not fit, on all ranks alike, before any of it is made."""
        mine = 2 * sum(self._size(part) for part in self.slices)  # before a step and after it
        for needed, left in distributed.gather_objects((mine, memory.available())):
            if needed > left:
                raise ArgumentError(
                    "problems",
                    sum(load.tasks for load in self.schedule.loads),
                    "those of a rank, with their copies and what the rule remembers, take "
                    f"{memory.readable(needed)}, but {memory.readable(left)} of memory are "
                    "available; give fewer, or an estimator of fewer copies.",
                )

    def _size(self, part: Slice) -> int:
        """The bytes of a slice's problems and of where they stand."""
        graph, address = self._beginning(part, 0)
        specs = tf.nest.flatten(graph.get_concrete_function(*address).structured_outputs)
        copies = max((spec.shape[0] or 0 for spec in specs), default=0) or part.tasks
        return copies * sum(spec.dtype.size * math.prod(spec.shape[1:]) for spec in specs)

    # What runs in graphs. A graph is found by its key by whoever trains the learner, so it depends
    # on nothing else of this object.

    def _begin(self, part: Slice, step: int) -> Running:
        """The problems of a slice, before their first step."""
        graph, address = self._beginning(part, step)
        return self._timed(lambda: graph(*address), lambda made: made[1].first_loss, part)

    def _beginning(self, part: Slice, step: int) -> tuple[Any, tuple[tf.Tensor, ...]]:
        """The graph that makes the problems of a slice, and what it is given."""
        learner, family, count = self.learner, self.families[part.family], self._known_count(part)

        def begin(step, first, last):
            tasks = family.batch(step, first, last)
            if count is not None:
                tasks = engine.of_count(tasks, count)
            tasks = learner.estimator.copies(tasks)
            return tasks, learner.start(family, tasks)

        graph = learner.graph(("begin", family, count), begin)
        return graph, (tf.constant(step), tf.constant(part.start), tf.constant(part.stop))

    def _unroll(
        self,
        part: Slice,
        running: Running,
        total: list[tf.Tensor],
        weight: tf.Tensor,
        first: tf.Tensor,
        steps: tf.Tensor | int,
    ) -> tuple[list[tf.Tensor], Running]:
        """An unroll of a slice.

        Args:
            part: the slice.
            running: its problems.
            total: so far, the meta-losses with what they count for, and their gradients.
            weight: what each problem counts for.
            first: how many steps the problems have taken.
            steps: how many to take.

        Returns:
            The meta-losses and their gradients, times the weight, added to those so far; and the
            problems after it.
        """
        family = self.families[part.family]
        learner = self.learner
        graph = learner.graph(
            ("unroll", family, self._known_count(part)),
            lambda *arguments: _added(learner, family, *arguments),
        )
        total, carried = self._timed(
            lambda: graph(*running, total, weight, first, steps),
            lambda made: made[0][0],
            part,
            int(steps),
        )
        return total, (running[0], carried)

    def _move(self, total: list[tf.Tensor]) -> tf.Tensor:
        """Moves the rule by the sum over the ranks; gives the meta-loss of all."""
        learner = self.learner
        return learner.graph("move", lambda total: _moved(learner, total))(total)

    def _unroll_and_move(
        self, running: Sequence[Running], first: tf.Tensor, steps: tf.Tensor | int
    ) -> tuple[tf.Tensor, list[Running]]:
        """`update` as one graph, where no times are asked for."""
        learner, slices = self.learner, self.slices
        families = [self.families[part.family] for part in slices]

        def update(running, weights, first, steps):
            total, after = None, []
            for family, (tasks, carried), weight in zip(families, running, weights, strict=True):
                total, carried = _added(
                    learner, family, tasks, carried, total, weight, first, steps
                )
                after.append(carried)
            return _moved(learner, total), after

        counts = [self._known_count(part) for part in slices]
        graph = learner.graph(("update", *families, *counts), update)
        weights = [self.weights[part.family] for part in slices]
        loss, after = graph(list(running), weights, first, steps)
        return loss, [(tasks, carried) for (tasks, _), carried in zip(running, after, strict=True)]

    def _timed(
        self,
        work: Callable[[], _T],
        last: Callable[[_T], tf.Tensor],
        part: Slice,
        steps: int = 0,
    ) -> _T:
        """The result of some work, on the clock of a schedule that asks for times.

        Args:
            work: to be done.
            last: gives the tensor of the result that is computed last.
            part: the slice that it is done for.
            steps: how many steps of its problems the work is.
        """
        if not self.schedule.adapts:
            return work()
        with self.schedule.clock(part, steps):
            result = work()
            last(result).numpy()  # the time is that of the work, not of its start
        return result

    def _known_count(self, part: Slice) -> int | None:
        """The number of problems that a slice's graph is built for; None if it does for any.

        Problems that run at once are quicker where it is known, and so is one alone; those that run
        one by one are not, and need no graph of their own for every packing.
        """
        known = (
            part.tasks == 1
            or not self.schedule.adapts
            or self.learner.runs_at_once(self.families[part.family])
        )
        return part.tasks if known else None


def one_for_each(
    learner: OptimizerLearner, families: Sequence[ProblemFamily], problems: int
) -> list[TruncatedTraining]:
    """Plain training on each family: of so many problems, on all ranks together."""
    schedule = EvenSchedule(problems)
    return [TruncatedTraining(learner, [family], schedule) for family in families]


def sizes(schedule: EvenSchedule | BalancedSchedule) -> np.ndarray:
    """How many problems each cluster has."""
    loads = schedule.loads
    return np.bincount([load.cluster for load in loads], [load.tasks for load in loads])


def _added(learner, family, tasks, carried, total, weight, first, steps):
    """The meta-losses of an unroll and their gradients, weighted, added to those so far, if any.

    Losses that are not finite are left out: a problem that diverges, whose gradient an estimator
    may well bound, says nothing of the others.
    """
    gradients, unroll = learner.meta_gradient(family, tasks, carried, first, steps, weight)
    finite = tf.math.is_finite(unroll.losses)
    losses = tf.where(finite, unroll.losses, tf.zeros_like(unroll.losses))
    counted = tf.stack([losses, tf.cast(finite, losses.dtype)])
    new = [weight * tf.reduce_sum(counted, axis=1), *gradients]
    if total is not None:
        new = [so_far + more for so_far, more in zip(total, new, strict=True)]
    return new, unroll.carried


def _moved(learner, total):
    losses, *gradients = distributed.sum_over_ranks(total)
    learner.apply(gradients)
    return mean_loss(losses)


def mean_loss(losses: tf.Tensor) -> tf.Tensor:
    """The mean of meta-losses, by their weighted sum and what they count for; NaN if nothing."""
    return losses[0] / losses[1]


def unrolls(lengths: Lengths) -> Iterator[tuple[tf.Tensor, tf.Tensor | int]]:
    """For each unroll, the number of its first step and that of its steps."""
    done = 0
    for steps in lengths.steps:
        yield tf.constant(done), steps if lengths.fixed else tf.constant(steps)
        done += steps


def _mean_of_finite(losses: Sequence[Any]) -> float:
    """The mean of those numbers that are finite; NaN where none is."""
    numbers = np.array(losses)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if len(finite) else math.nan
