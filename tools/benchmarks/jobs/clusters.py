"""Meta-iterations over clusters of problems, for tools/benchmark_clusters.py.

A worker of one or two ranks, see `answering`. What was built for a request is kept, so that forms
can take turns without being traced again.
"""

import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.evaluation.hand_designed import Rivals
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.evaluation.tuning import log10_loss, tune
from tfmeta.problems.registry import problems_named
from tfmeta.registry import PACKINGS
from tfmeta.scheduling.schedule import predicted
from tfmeta.scheduling.truncation import FixedUnrolls, Lengths
from tfmeta.training.problem_clusters import cluster
from tfmeta.training.rates import rate as rate_over
from tfmeta.updates import HierarchicalRNN

from ..answering import serve
from ..clusters.forms import UNROLL
from .cluster_loops import ClusterLoops

# Problems of training number seed have the addresses from so many times the seed.
_STEPS_OF_A_SEED = 1_000_000
_EVALUATION_SEED = 1
_TUNING_PROBLEMS = 16
_ROUNDS = 3  # over all families, by which an update is timed


class Runs:
    """Meta-iterations in the forms that are compared."""

    def __init__(self) -> None:
        self._loop_of = ClusterLoops()
        self._loops: dict[str, Any] = {}
        self._trainings: dict[str, Training] = {}
        self._evaluations: dict[str, tuple[HierarchicalRNN, dict[str, LossCurves]]] = {}

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

    def pace(self, recipe: str, problem_steps: int, **cell: Any) -> dict[str, float]:
        """The seconds of an update of the rule, the mean over some rounds of problems.

        Where clusters move copies of the rule, each move of a copy counts.

        Args:
            recipe: of `RECIPES`.
            problem_steps: of a problem.
            **cell: as of `ClusterLoops`.
        """
        return {"seconds": self._training(recipe, problem_steps, cell).seconds_of_an_update()}

    def train(
        self,
        updates: int,
        recipe: str,
        problem_steps: int,
        evaluated: Sequence[str],
        problems_of_family: int,
        rate: float,
        seed: int,
        **cell: Any,
    ) -> dict[str, dict[str, float]]:
        """Trains by so many updates, at a rate that rises and falls within them; then evaluates.

        The rate rises over the first quarter of the updates and falls to zero along a cosine.

        Args:
            updates: of the rule, each by an unroll of a problem, or of some of every family; or of
                its copies.
            recipe: of `RECIPES`.
            problem_steps: of a problem, in training and in evaluation.
            evaluated: the families of the evaluation, by name.
            problems_of_family: problems of each of them.
            rate: the highest of the outer optimizer.
            seed: of the rule and of the problems.
            **cell: as of `ClusterLoops`.

        Returns:
            By family of the evaluation the mean `log10` of the final losses, and the `accuracy` in
            per cent.
        """
        training = self._training(recipe, problem_steps, cell)
        rates = rate_over(rate, "cosine", updates, max(1, updates // 4))
        assert callable(rates)  # only a constant rate is a number
        training.begin(seed)
        for now in np.asarray(rates(np.arange(updates))):
            training.learner.optimizer.learning_rate = now
            training.update()
        return self._evaluated(training.learner.rule, problem_steps, evaluated, problems_of_family)

    def learn(
        self,
        updates: int,
        problem_steps: int,
        evaluate_every: float,
        evaluated: Sequence[str],
        problems_of_family: int,
        seed: int,
        **cell: Any,
    ) -> dict[str, Any]:
        """Trains with the published meta-optimizer, and evaluates on the way.

        Args:
            updates: as of `train`.
            problem_steps: of a problem, in training and in evaluation.
            evaluate_every: the rule is evaluated when such a share of the updates so far has been
                added, and after the last one.
            evaluated: the families of an evaluation, by name; all have an accuracy.
            problems_of_family: problems of each of them.
            seed: of the rule and of the problems.
            **cell: as of `ClusterLoops`.

        Returns:
            `curve`: updates and accuracy in per cent at each evaluation.
        """
        training = self._training("published", problem_steps, cell)
        training.begin(seed)
        curve, evaluate_at = [], 0
        for number in range(updates + 1):
            if number in (evaluate_at, updates):
                ended = self._evaluated(
                    training.learner.rule, problem_steps, evaluated, problems_of_family
                )
                curve.append((number, sum(ended["accuracy"].values()) / len(evaluated)))
                evaluate_at = max(number + 1, math.ceil(number * (1 + evaluate_every)))
            if number < updates:
                training.update()
        return {"curve": curve}

    def clusters_by(
        self, by: str, number: int, recipe: str, problem_steps: int, seed: int, **cell: Any
    ) -> dict[str, list[int]]:
        """The `clusters` of the families, numbered from 0, as a rule at its start has them.

        Args:
            by: of `registry.PROBLEM_SIGNATURES`.
            number: of clusters.
            recipe: of `RECIPES`.
            problem_steps: of a problem.
            seed: of the rule and of the clusters.
            **cell: as of `ClusterLoops`, with more than one cluster.
        """
        training = self._training(recipe, problem_steps, cell)
        training.begin(seed)
        return {"clusters": cluster(training.families, by, training.learner, number, seed=seed)}

    def rivals(
        self, problem_steps: int, evaluated: Sequence[str], problems: int
    ) -> dict[str, float]:
        """The mean log10 of the final losses of the best hand-designed optimizer, by family.

        Args:
            problem_steps: after which they are taken.
            evaluated: the families, by name.
            problems: of each of them.
        """
        found = {}
        for trained_on, family in zip(
            _named(evaluated, 0), _named(evaluated, _EVALUATION_SEED), strict=True
        ):
            tuned = tune(trained_on, problem_steps, _TUNING_PROBLEMS)
            best = min(tuned, key=lambda name: tuned[name].score)
            measures = Rivals(family, problem_steps, problems).once({best: tuned[best].numbers})
            found[family.name] = float(log10_loss(measures[best][:, -1, 0]).mean())
        return found

    def _training(self, recipe: str, problem_steps: int, cell: dict[str, Any]) -> "Training":
        key = json.dumps([recipe, problem_steps, cell], sort_keys=True)
        if key not in self._trainings:
            self._trainings[key] = Training(self._loop_of, recipe, problem_steps, cell)
        return self._trainings[key]

    def _evaluated(
        self, rule: HierarchicalRNN, steps: int, names: Sequence[str], problems: int
    ) -> dict[str, dict[str, float]]:
        """How unseen problems of some families end: means of log10 of losses, and accuracies."""
        # The same rule for all forms, so that it is compiled once.
        key = json.dumps([rule.first_rates, rule.first_width, steps, names])
        if key not in self._evaluations:
            own = type(rule).from_config(rule.get_config())
            own.build([])
            self._evaluations[key] = (
                own,
                {
                    family.name: LossCurves(own, family, steps, every=steps, xla=True)
                    for family in _named(names, _EVALUATION_SEED)
                },
            )
        own, loss_curves = self._evaluations[key]
        own.set_weights(rule.get_weights())
        ended = {name: minimize(problems) for name, minimize in loss_curves.items()}
        return {
            "log10": {
                name: float(log10_loss(curves.losses[:, -1]).mean())
                for name, curves in ended.items()
            },
            "accuracy": {
                name: 100 * float(curves.scores[:, -1].mean())
                for name, curves in ended.items()
                if curves.scores.any()
            },
        }


class Training:
    """The training of a rule from its start, update by update.

    Where all families are one cluster, a problem of one comes after the other, in an order that is
    drawn anew for each round.

    Args:
        loop_of: makes the loops.
        recipe: of `RECIPES`.
        problem_steps: of a problem.
        cell: as of `ClusterLoops`.
    """

    def __init__(
        self, loop_of: ClusterLoops, recipe: str, problem_steps: int, cell: dict[str, Any]
    ):
        cells = [cell]
        if max(cell["clusters"]) == 0:
            cells = [{**cell, "families": [name], "clusters": [0]} for name in cell["families"]]
        self._lengths = FixedUnrolls(problem_steps, UNROLL)(0)
        self._loops = [loop_of(self._lengths, recipe=recipe, **cell) for cell in cells]
        self.learner = self._loops[0].learner
        self.families = [family for loop in self._loops for family in loop.families]

    def begin(self, seed: int) -> None:
        """Goes back to the start.

        Args:
            seed: of the rule and of the problems.
        """
        config = self.learner.rule.get_config()
        fresh = type(self.learner.rule).from_config({**config, "seed": seed})
        fresh.build([])
        self.learner.rule.set_weights(fresh.get_weights())
        for variable in self.learner.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(variable * 0)
        self._updates = self._all_updates(seed)

    def update(self) -> None:
        """The next update of the rule."""
        next(self._updates)

    def seconds_of_an_update(self) -> float:
        """The mean over some rounds of problems."""
        self.begin(seed=0)
        count = 0
        started = time.perf_counter()
        for step in range(_ROUNDS * len(self._loops)):
            count += sum(1 for _ in self._updates_of(step, seed=0))
        return (time.perf_counter() - started) / count

    def _all_updates(self, seed: int) -> Iterator[float]:
        for step in itertools.count():
            yield from self._updates_of(step, seed)

    def _updates_of(self, step: int, seed: int) -> Iterator[float]:
        """Those of a meta-iteration."""
        loop = self._loops[_in_turn(len(self._loops), step, seed)]
        return loop.updates(_STEPS_OF_A_SEED * seed + step, self._lengths)


def _named(names: Sequence[str], seed: int) -> list[Any]:
    """Families by name, in the order of `wichrowska`."""
    return [family for family in problems_named("wichrowska", seed) if family.name in names]


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
