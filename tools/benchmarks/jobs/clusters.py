"""Meta-iterations over clusters of problems, for tools/benchmark_clusters.py.

A worker of one or two ranks, see `answering`. What was built for a request is kept, so that forms
can take turns without being traced again.
"""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.evaluation.tuning import tune
from tfmeta.problems.registry import problems_named
from tfmeta.registry import PACKINGS
from tfmeta.scheduling.schedule import predicted
from tfmeta.scheduling.truncation import FixedUnrolls, Lengths
from tfmeta.updates import Adam, HierarchicalRNN

from ..answering import serve
from ..clusters.forms import UNROLL
from ..clusters.results import reached
from .cluster_loops import ClusterLoops

# Problems of training number seed have the addresses from so many times the seed.
_STEPS_OF_A_SEED = 1_000_000
_EVALUATION_SEED = 1


class Runs:
    """Meta-iterations in the forms that are compared."""

    def __init__(self) -> None:
        self._loop_of = ClusterLoops()
        self._loops: dict[str, Any] = {}
        self._evaluation: tuple[HierarchicalRNN, list[LossCurves]] | None = None

    def time(self, meta_iterations: int, **cell: Any) -> dict[str, Any]:
        """The time of meta-iterations of one unroll.

        Args:
            meta_iterations: how many; of a cell that is new some more come before, which trace
                graphs and pack the groups by their times.
            **cell: as of `ClusterLoops`.

        Returns:
            `seconds` of a step of one problem on one batch of data; and of each rank the `busy`
            seconds of a meta-iteration, and those that the best packing is `possible` with, by the
            times measured so far.
        """
        key = json.dumps(cell, sort_keys=True)
        lengths = Lengths([UNROLL], True)
        if key not in self._loops:
            self._loops[key] = self._loop_of(lengths, **cell)
        loop = self._loops[key]
        problems = sum(load.tasks for load in loop.schedule.loads)
        distributed.gather_objects(None)  # so that all begin at once
        started = time.perf_counter()
        busy = 0.0
        for step in range(meta_iterations):
            loop(step, lengths)
            busy += loop.schedule.busy
        seconds = time.perf_counter() - started
        batches = meta_iterations * problems * UNROLL * cell["batches"]
        best = PACKINGS[cell["cluster_groups"]](loop.schedule.loads, distributed.size())
        return {
            "seconds": seconds / batches,
            "busy": [b / meta_iterations for b in distributed.gather_objects(busy)],
            "possible": predicted(best, loop.schedule.loads),
        }

    def learn(
        self,
        problem_steps: int,
        evaluate_every: float,
        problems_of_type: int,
        target: float,
        limit: float,
        rate: float,
        seed: int,
        **cell: Any,
    ) -> dict[str, Any]:
        """Trains until unseen softmax regressions reach an accuracy, three evaluations in a row.

        The clock stands still while the rule is evaluated. Before it starts, a few meta-iterations
        are made, which trace graphs and pack the groups by their times, and undone. Where all
        families are one cluster, a problem of one comes after the other, in an order that is drawn
        anew for each round, and the rule may be evaluated in between.

        Args:
            problem_steps: of a problem, in training and in evaluation.
            evaluate_every: the rule is evaluated after its first update, and then when such a
                share of the seconds of training so far has been added.
            problems_of_type: problems of each of the four sizes, in an evaluation.
            target: in per cent.
            limit: seconds of training after which to give up.
            rate: of Adam.
            seed: of the rule and of the problems.
            **cell: as of `ClusterLoops`.

        Returns:
            `curve`: seconds of training, updates of the rule (each by an unroll of a problem, or of
            one of every family) and accuracy in per cent at each evaluation.
        """
        cells = [cell]
        if max(cell["clusters"]) == 0:
            cells = [{**cell, "families": [name], "clusters": [0]} for name in cell["families"]]
        lengths = FixedUnrolls(problem_steps, UNROLL)(0)
        loops = [self._loop_of(lengths, **cell) for cell in cells]
        learner = loops[0].learner
        fresh = HierarchicalRNN(seed=seed)
        fresh.build([])
        learner.rule.set_weights(fresh.get_weights())
        for variable in learner.optimizer.variables:
            variable.assign(variable * 0)
        learner.optimizer.learning_rate = rate

        def accuracy() -> float:
            rule, loss_curves = self._evaluated(problem_steps)
            rule.set_weights(learner.rule.get_weights())
            return _accuracy(loss_curves, problems_of_type)

        def updates() -> Iterator[float]:
            for step in itertools.count():
                loop = loops[_in_turn(len(loops), step, seed)]
                yield from loop.updates(_STEPS_OF_A_SEED * seed + step, lengths)

        curve = [(0.0, 0, accuracy())]
        seconds, updated, training = 0.0, 0, updates()
        while seconds < limit and reached(curve, target) is None:
            began = seconds
            while True:
                started = time.perf_counter()
                next(training)
                seconds += time.perf_counter() - started
                updated += 1
                # Rank 0 decides for all when it is time.
                if distributed.gather_objects(seconds - began >= evaluate_every * began)[0]:
                    break
            curve.append((seconds, updated, accuracy()))
            seconds, curve = distributed.gather_objects((seconds, curve))[0]
        return {"curve": curve}

    def accuracies(self, problem_steps: int, problems: int) -> dict[str, float]:
        """The accuracy, in per cent, of the untrained rule and of Adam, tuned on other problems.

        Args:
            problem_steps: after which it is taken.
            problems: of each of the four sizes.
        """
        untrained: list[LossCurves] = []
        adam: list[LossCurves] = []
        for trained_on, family in zip(
            problems_named("softmax_regression"),
            problems_named("softmax_regression", seed=_EVALUATION_SEED),
            strict=True,
        ):
            numbers = tune(trained_on, problem_steps, 20, names=["adam"])["adam"].numbers
            for found, rule in (
                (untrained, HierarchicalRNN(seed=0)),
                (adam, Adam(**numbers)),
            ):
                found.append(LossCurves(rule, family, problem_steps, every=problem_steps))
        return {"untrained": _accuracy(untrained, problems), "adam": _accuracy(adam, problems)}

    def _evaluated(self, steps: int) -> tuple[Any, list[Any]]:
        """A rule, and what trains unseen softmax regressions with it; the same for all forms."""
        if self._evaluation is None:
            rule = HierarchicalRNN()
            rule.build([])
            self._evaluation = (
                rule,
                [
                    LossCurves(rule, family, steps, every=steps, xla=True)
                    for family in problems_named("softmax_regression", seed=_EVALUATION_SEED)
                ],
            )
        return self._evaluation


def _accuracy(loss_curves: list[Any], problems: int) -> float:
    """The mean held-out accuracy after the last step, in per cent; each family counts once."""
    ended = [minimize(problems) for minimize in loss_curves]
    return 100 * float(sum(e.scores[:, -1].mean() for e in ended) / len(ended))


def _in_turn(count: int, step: int, seed: int) -> int:
    """Whose turn it is: in each round all have one, in an order of its own.

    In a fixed order the time to an accuracy would be that of the order: a problem of the family
    that is evaluated teaches most.
    """
    order = np.random.default_rng([seed, step // count]).permutation(count)
    return int(order[step % count])


if __name__ == "__main__":
    distributed.init(cycle_milliseconds=5)
    serve(Runs, {"tensorflow": tf.__version__, "keras": keras.__version__})
