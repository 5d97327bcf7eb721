"""Clusters that each move a copy of the rule, whose changes are averaged."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.errors import ArgumentError
from tfmeta.learners.truncated_training import TruncatedTraining, mean_loss, sizes, unrolls
from tfmeta.scheduling.schedule import Slice
from tfmeta.scheduling.truncation import Lengths


class AveragedCopies(TruncatedTraining):
    """Each cluster has a copy of the rule and of its outer optimizer for a meta-iteration.

    A copy moves after every unroll of one problem after the other, in an order that is drawn anew
    each time; then the changes of all copies are averaged (the other reading of figure 5 of
    Pimpalkhute et al. 2021), each of which counts once, or as often as its cluster has problems.
    With one cluster that is the sequential training of their figure 2.

    Args:
        *arguments: of `TruncatedTraining`; `seed` is that of the order of a cluster's problems.

    Raises:
        ArgumentError: clusters may be split over several ranks.
    """

    def __init__(self, *arguments: Any, **more: Any):
        super().__init__(*arguments, **more)
        if self.schedule.cuts_clusters and distributed.size() > 1:
            raise ArgumentError(
                "within_cluster",
                "update",
                "a cluster that is updated problem by problem cannot be split over ranks; give "
                "cluster_groups=whole.",
            )

    @classmethod
    def moves(cls, schedule):
        """As often as the largest cluster has problems."""
        return int(sizes(schedule).max())

    def _updates(self, step: int, lengths: Lengths) -> Iterator[Any]:
        loads = self.schedule.loads
        if len(self.sizes) == 1:  # the rule itself is the copy
            yield from self._one_by_one(0, step, lengths)
            return
        optimizer = self.learner.optimizer
        variables = [
            *self.learner.rule.trainable_variables,
            *(v for v in optimizer.variables if v.name not in ("iteration", "learning_rate")),
        ]
        start = [tf.identity(variable.value) for variable in variables]
        updates = int(optimizer.iterations)
        changes = [tf.zeros_like(tensor) for tensor in start]
        losses: list[float] = []
        for cluster in sorted({loads[part.family].cluster for part in self.slices}):
            _assign(variables, start)
            optimizer.iterations.assign(updates)
            losses += self._one_by_one(cluster, step, lengths)
            changes = [
                change + (variable.value - first) * self.shares[cluster]
                for change, variable, first in zip(changes, variables, start, strict=True)
            ]
        merged = self.learner.graph("sum", distributed.sum_over_ranks)(changes)
        _assign(variables, [first + change for first, change in zip(start, merged, strict=True)])
        optimizer.iterations.assign(updates + self.moves(self.schedule) * len(lengths.steps))
        yield from np.concatenate(distributed.gather_objects(losses))

    def _one_by_one(self, cluster: int, step: int, lengths: Lengths) -> Iterator[float]:
        """Trains the problems of a cluster in turn; the rule moves after every unroll of each."""
        alone = tf.ones([], self.learner.rule.dtype)  # it counts for all
        for problem in self._in_turn(cluster, step):
            running = self._begin(problem, step)
            for first, steps in unrolls(lengths):
                total, running = self._unroll(problem, running, self._zeros, alone, first, steps)
                yield float(self._move_copy(total))

    def _move_copy(self, total: list[tf.Tensor]) -> tf.Tensor:
        """Moves the copy of this rank alone."""
        learner = self.learner

        def move(total):
            losses, *gradients = total
            learner.apply(gradients)
            return mean_loss(losses)

        return learner.graph("move copy", move)(total)

    def _in_turn(self, cluster: int, step: int) -> list[Slice]:
        problems = [
            Slice(part.family, number, number + 1)
            for part in self.slices
            if self.schedule.loads[part.family].cluster == cluster
            for number in range(part.start, part.stop)
        ]
        order = np.random.default_rng([self.seed, step, cluster]).permutation(len(problems))
        return [problems[number] for number in order]


def _assign(variables: Sequence[Any], tensors: Sequence[tf.Tensor]) -> None:
    for variable, tensor in zip(variables, tensors, strict=True):
        variable.assign(tensor)
