"""Hand-designed optimizers: their rules, the numbers that each may take, and trials of these."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError
from tfmeta.evaluation.trials import COSINE, Trials
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import AdamW, GradientRule, Momentum, Nesterov, RMSprop


class Range(NamedTuple):
    """The numbers that an argument of a rule may take.

    Attributes:
        low: the first place.
        high: the last place.
        number: the numbers at places.
    """

    low: float
    high: float
    number: Callable[[np.ndarray], np.ndarray]


def powers(low: float, high: float) -> Range:
    """10**place."""
    return Range(low, high, lambda places: 10.0**places)


def nines(high: float) -> Range:
    """1 - 10**-place, from 0 to so many nines."""
    return Range(0.0, high, lambda places: 1.0 - 10.0**-places)


class HandDesigned(NamedTuple):
    """A hand-designed optimizer.

    Attributes:
        kind: of its rule.
        ranges: of the arguments to tune, by name.
        fixed: the other arguments of trials of the kind, and whether the rate falls along a cosine.
    """

    kind: type[GradientRule]
    ranges: dict[str, Range]
    fixed: dict[str, float]


def _with_schedules() -> dict[str, HandDesigned]:
    rate, momentum, square = powers(-5, 1), nines(3), nines(4)
    adam = {"learning_rate": rate, "beta_1": momentum, "beta_2": square}
    # Optimizers of one kind share a graph, which takes seconds to make.
    constant: dict[str, tuple[type[GradientRule], dict[str, Range], dict[str, float]]] = {
        "gradient_descent": (Momentum, {"learning_rate": rate}, {"momentum": 0.0}),
        "momentum": (Momentum, {"learning_rate": rate, "momentum": momentum}, {}),
        "nesterov": (Nesterov, {"learning_rate": rate, "momentum": momentum}, {}),
        "rmsprop": (RMSprop, {"learning_rate": rate, "rho": square}, {}),
        "adam": (AdamW, adam, {"weight_decay": 0.0}),
        "adamw": (AdamW, {**adam, "weight_decay": powers(-6, -1)}, {}),
    }
    found = {}
    for name, (kind, ranges, fixed) in constant.items():
        found[name] = HandDesigned(kind, ranges, {**fixed, COSINE: 0.0})
        found[f"{name}_{COSINE}"] = HandDesigned(kind, ranges, {**fixed, COSINE: 1.0})
    return found


# Six rules, each at a constant rate and at one that falls to zero along a cosine.
HAND_DESIGNED = _with_schedules()


class Rivals:
    """Runs hand-designed optimizers on the same problems, which are made once.

    Every rank calls it, with a share of the problems, and gets the whole.

    Args:
        problems: the family.
        steps: how many steps a problem is given.
        count: how many problems, of all ranks together: the first of address 0.
        every: how many steps lie between two measurements; by default all.

    Raises:
        ArgumentError: fewer problems than ranks.
    """

    def __init__(self, problems: ProblemFamily, steps: int, count: int, every: int | None = None):
        ranks = distributed.size()
        if count < ranks:
            raise ArgumentError("count", count, f"each of {ranks} ranks needs a problem; raise it.")
        mine = share(count, distributed.rank(), ranks)
        batch = tf.function(problems.batch, autograph=False)
        self._tasks = batch(*(tf.constant(n) for n in (0, mine.start, mine.stop)))
        self._problems, self._steps, self._every = problems, steps, every or steps
        self._trials: dict[type[GradientRule], Trials] = {}

    def __call__(self, numbers: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Trains every problem with all the numbers.

        Args:
            numbers: `[trials]` for each argument to tune, by name of the optimizer.

        Returns:
            By name, what `Trials` returns.
        """
        found = {}
        for kind in dict.fromkeys(HAND_DESIGNED[name].kind for name in numbers):
            names = [name for name in numbers if HAND_DESIGNED[name].kind is kind]
            tables, places = [], [0]
            for name in names:
                count = len(next(iter(numbers[name].values())))
                fixed = HAND_DESIGNED[name].fixed.items()
                tables.append({**numbers[name], **{n: np.full(count, v) for n, v in fixed}})
                places.append(places[-1] + count)
            table = {n: np.concatenate([t[n] for t in tables]) for n in tables[0]}
            measures = self._of_kind(kind, table)
            for name, first, last in zip(names, places[:-1], places[1:], strict=True):
                found[name] = measures[first:last]
        return {name: found[name] for name in numbers}

    def once(self, numbers: Mapping[str, Mapping[str, float]]) -> dict[str, np.ndarray]:
        """Trains every problem with one choice of numbers for each optimizer.

        Args:
            numbers: by argument, by name of the optimizer.

        Returns:
            By name, what `Trials` returns of its one trial: float64 `[problems, times, 3]`.
        """
        single = {
            name: {argument: np.array([number]) for argument, number in chosen.items()}
            for name, chosen in numbers.items()
        }
        return {name: measures[0] for name, measures in self(single).items()}

    def _of_kind(self, kind: type[GradientRule], table: dict[str, np.ndarray]) -> np.ndarray:
        if kind not in self._trials:
            arguments = [name for name in table if name != COSINE]
            self._trials[kind] = Trials(kind, arguments, self._problems, self._steps, self._every)
        mine = self._trials[kind](table, self._tasks)
        [measures] = distributed.gather([tf.constant(np.swapaxes(mine, 0, 1))])
        return np.swapaxes(measures.numpy(), 0, 1)
