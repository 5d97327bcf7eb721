"""Meta-iterations over clusters of problems, for tools/benchmark_clusters.py.

A worker of one or two ranks, see `answering`. What was built for a request is kept, so that forms
can take turns without being traced again.
"""

import itertools
import json
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
from tfmeta.training.rates import rate as rate_over
from tfmeta.updates import HierarchicalRNN

from ..answering import serve
from ..clusters.forms import FAMILIES, UNROLL
from .cluster_loops import ClusterLoops

# Problems of training number seed have the addresses from so many times the seed.
_STEPS_OF_A_SEED = 1_000_000
_EVALUATION_SEED = 1
_TUNING_PROBLEMS = 16
_ROUNDS = 3  # over all families, by which an update is timed
# The published sizes of the paper's measure, and one family of each type.
_SOFTMAX = tuple(f"softmax_regression_{features}" for features in (10, 100, 200, 256))
_QUALITY = tuple(dict.fromkeys([*FAMILIES, *_SOFTMAX]))


class Runs:
    """Meta-iterations in the forms that are compared."""

    def __init__(self) -> None:
        self._loop_of = ClusterLoops()
        self._loops: dict[str, Any] = {}
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

    def train(
        self,
        budget: float,
        problem_steps: int,
        problems_of_family: int,
        rate: float,
        seed: int,
        **cell: Any,
    ) -> dict[str, Any]:
        """Trains for so many seconds, at a rate that rises and falls within them; then evaluates.

        How many updates that is follows from the time of the first ones, which are undone: they
        trace graphs and pack the groups too. Adam's rate rises over the first sixteenth of the
        updates and falls to zero along a cosine.

        Args:
            budget: seconds of training.
            problem_steps: of a problem, in training and in evaluation.
            problems_of_family: problems of each family, in an evaluation.
            rate: the highest of Adam.
            seed: of the rule and of the problems.
            **cell: as of `ClusterLoops`.

        Returns:
            `seconds` and `updates` of the training, and by family of the evaluation the mean
            `log10` of the final losses and the `accuracy` in per cent.
        """
        training = Training(self._loop_of, "best", problem_steps, seed, cell)
        per_update = training.seconds_of_an_update()
        updates = max(2, round(distributed.gather_objects(budget / per_update)[0]))
        rates = rate_over(rate, "cosine", updates, updates // 16)
        training.begin()
        seconds = 0.0
        for number in range(updates):
            started = time.perf_counter()
            training.learner.optimizer.learning_rate = rates(number) if callable(rates) else rates
            training.update()
            seconds += time.perf_counter() - started
        ended = self._evaluated(training.learner.rule, problem_steps, _QUALITY, problems_of_family)
        return {"seconds": seconds, "updates": updates, **ended}

    def learn(
        self,
        problem_steps: int,
        evaluate_every: float,
        problems_of_family: int,
        limit: float,
        seed: int,
        **cell: Any,
    ) -> dict[str, Any]:
        """Trains with the published meta-optimizer, and evaluates on the way.

        The clock stands still while the rule is evaluated.

        Args:
            problem_steps: of a problem, in training and in evaluation.
            evaluate_every: the rule is evaluated after its first update, and then when such a
                share of the seconds of training so far has been added.
            problems_of_family: problems of each of the four softmax regressions, in an evaluation.
            limit: seconds of training.
            seed: of the rule and of the problems.
            **cell: as of `ClusterLoops`.

        Returns:
            `curve`: seconds of training, updates of the rule (each by an unroll of a problem, or of
            one of every family) and accuracy in per cent at each evaluation.
        """
        training = Training(self._loop_of, "published", problem_steps, seed, cell)
        training.begin()

        def accuracy() -> float:
            ended = self._evaluated(
                training.learner.rule, problem_steps, _SOFTMAX, problems_of_family
            )
            return sum(ended["accuracy"].values()) / len(ended["accuracy"])

        curve = [(0.0, 0, accuracy())]
        seconds, updated = 0.0, 0
        while seconds < limit:
            began = seconds
            while True:
                started = time.perf_counter()
                training.update()
                seconds += time.perf_counter() - started
                updated += 1
                # Rank 0 decides for all when it is time.
                if distributed.gather_objects(seconds - began >= evaluate_every * began)[0]:
                    break
            curve.append((seconds, updated, accuracy()))
            seconds, curve = distributed.gather_objects((seconds, curve))[0]
        return {"curve": curve}

    def rivals(self, problem_steps: int, problems: int) -> dict[str, float]:
        """The mean log10 of the final losses of the best hand-designed optimizer, by family.

        Args:
            problem_steps: after which they are taken.
            problems: of each family of the evaluation.
        """
        found = {}
        for trained_on, family in zip(
            _named(_QUALITY, 0), _named(_QUALITY, _EVALUATION_SEED), strict=True
        ):
            tuned = tune(trained_on, problem_steps, _TUNING_PROBLEMS)
            best = min(tuned, key=lambda name: tuned[name].score)
            measures = Rivals(family, problem_steps, problems).once({best: tuned[best].numbers})
            found[family.name] = float(log10_loss(measures[best][:, -1, 0]).mean())
        return found

    def _evaluated(
        self, rule: Any, steps: int, names: Sequence[str], problems: int
    ) -> dict[str, dict[str, float]]:
        """How unseen problems of some families end: means of log10 of losses, and accuracies."""
        # The same rule for all forms, so that it is compiled once.
        key = json.dumps([rule.get_config()["first_rates"], steps, names])
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
        recipe: of `RECIPES`; published, the meta-optimizer is RMSProp at 1e-6.
        problem_steps: of a problem.
        seed: of the rule and of the problems.
        cell: as of `ClusterLoops`.
    """

    def __init__(
        self,
        loop_of: ClusterLoops,
        recipe: str,
        problem_steps: int,
        seed: int,
        cell: dict[str, Any],
    ):
        cells = [cell]
        if max(cell["clusters"]) == 0:
            cells = [{**cell, "families": [name], "clusters": [0]} for name in cell["families"]]
        self._lengths = FixedUnrolls(problem_steps, UNROLL)(0)
        self._loops = [loop_of(self._lengths, recipe=recipe, **cell) for cell in cells]
        self._seed = seed
        self.learner = self._loops[0].learner

    def begin(self) -> None:
        """Goes back to the start."""
        config = self.learner.rule.get_config()
        fresh = type(self.learner.rule).from_config({**config, "seed": self._seed})
        fresh.build([])
        self.learner.rule.set_weights(fresh.get_weights())
        for variable in self.learner.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(variable * 0)
        self._updates = self._all_updates()

    def update(self) -> None:
        """The next update of the rule."""
        next(self._updates)

    def seconds_of_an_update(self) -> float:
        """The mean over some rounds of problems."""
        self.begin()
        count = _ROUNDS * len(self._loops) * len(self._lengths.steps)
        started = time.perf_counter()
        for _ in range(count):
            self.update()
        return (time.perf_counter() - started) / count

    def _all_updates(self) -> Iterator[float]:
        for step in itertools.count():
            loop = self._loops[_in_turn(len(self._loops), step, self._seed)]
            yield from loop.updates(_STEPS_OF_A_SEED * self._seed + step, self._lengths)


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
