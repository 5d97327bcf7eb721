"""The numbers of hand-designed update rules, tuned by grid."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import Adam, GradientDescent, GradientRule, Momentum, RMSprop

# Rounding in float32 leaves about as much of a sum of squares near 1: below it losses say nothing.
LEAST_LOSS = 1e-12


class Axis(NamedTuple):
    """The numbers that an argument of a rule may take, at whole numbers, its places.

    Attributes:
        number: at a place.
        coarse: the places of the first grid.
        ends: the first and the last place that there are.
    """

    number: Callable[[int], float]
    coarse: range
    ends: tuple[int, int]


def rates(lowest: int, highest: int) -> Axis:
    """Rates 10**(place / 4), 1e-10 to 1e4; the first grid has whole powers of ten."""
    return Axis(
        lambda place: float(f"{10 ** (place / 4):.4g}"),
        range(4 * lowest, 4 * highest + 1, 4),
        (-40, 16),
    )


def decays(lowest: int, highest: int) -> Axis:
    """Decays 1 - 10**(-place / 4), 0 to 0.9999; the first grid has those of so many nines."""
    return Axis(
        lambda place: round(1 - 10 ** (-place / 4), 6),
        range(4 * lowest, 4 * highest + 1, 4),
        (0, 16),
    )


# The rules to tune by name, and the first grids of their arguments.
HAND_DESIGNED: dict[str, tuple[type[GradientRule], dict[str, Axis]]] = {
    "gradient_descent": (GradientDescent, {"learning_rate": rates(-5, 0)}),
    "momentum": (Momentum, {"learning_rate": rates(-5, 0), "momentum": decays(0, 2)}),
    "rmsprop": (RMSprop, {"learning_rate": rates(-4, 0), "rho": decays(1, 3)}),
    "adam": (
        Adam,
        {"learning_rate": rates(-4, 0), "beta_1": decays(0, 2), "beta_2": decays(1, 3)},
    ),
}


class Found(NamedTuple):
    """The best point of a search.

    Attributes:
        numbers: by argument.
        score: there.
        at_end: the arguments of which there is no number beyond the one found.
    """

    numbers: dict[str, float]
    score: float
    at_end: list[str]


def search(score: Callable[[dict[str, float]], float], axes: Mapping[str, Axis]) -> Found:
    """Looks for the lowest score on a coarse grid, then on finer ones around the best point.

    A finer grid has three places along each axis, and moves until the best point is its middle.
    So the optimum is never at the edge of what was tried, unless there is nothing beyond.

    Args:
        score: of the numbers by argument; inf where they are useless.
        axes: by argument.
    """
    scores: dict[tuple[int, ...], float] = {}

    def numbers(point):
        places = zip(axes.items(), point, strict=True)
        return {name: axis.number(place) for (name, axis), place in places}

    def best_of(grid: Sequence[Sequence[int]]) -> tuple[int, ...]:
        points = list(itertools.product(*grid))
        for point in points:
            if point not in scores:
                scores[point] = score(numbers(point))
        return min(points, key=scores.__getitem__)

    def around(point, spacing):
        # An equal neighbor is no reason to move, but where all is useless low numbers are safer.
        moves = (-spacing, 0, spacing) if scores[point] == np.inf else (0, -spacing, spacing)
        return [
            [place + move for move in moves if low <= place + move <= high]
            for place, (_, _, (low, high)) in zip(point, axes.values(), strict=True)
        ]

    best = best_of([axis.coarse for axis in axes.values()])
    for spacing in (4, 2, 1):
        middle = None
        while best != middle:
            middle, best = best, best_of(around(best, spacing))
    places = zip(axes.items(), best, strict=True)
    at_end = [name for (name, axis), place in places if place in axis.ends]
    return Found(numbers(best), scores[best], at_end)


def tune(name: str, problems: ProblemFamily, steps: int, count: int) -> Found:
    """Searches the numbers with which a hand-designed rule minimizes best.

    That is, with the lowest mean of log10 of the loss after the last step, see `log10_loss`.

    Args:
        name: of the rule, in `HAND_DESIGNED`.
        problems: the family to tune for.
        steps: how many steps a problem is given.
        count: how many problems, of all ranks together; every rank finds the same.

    Raises:
        ArgumentError: fewer problems than ranks.
    """
    kind, axes = HAND_DESIGNED[name]
    rule = _Adjustable(kind, list(axes))
    loss_curves = LossCurves(rule, problems, steps, every=steps)

    def score(numbers: Mapping[str, float]) -> float:
        rule.adjust(numbers)
        return float(log10_loss(loss_curves(count).losses[:, -1]).mean())

    return search(score, axes)


def log10_loss(losses: np.ndarray) -> np.ndarray:
    """log10 of losses: of `LEAST_LOSS` where they are smaller, inf where they are not finite."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return np.log10(np.maximum(losses, LEAST_LOSS))


class _Adjustable(GradientRule):
    """A hand-designed rule whose numbers are variables, so that one graph serves all numbers."""

    def __init__(self, kind: type[GradientRule], arguments: Sequence[str]):
        super().__init__()
        self.kind, self.arguments = kind, arguments

    def build(self, shapes):
        for argument in self.arguments:
            self.add_weight(name=argument, shape=())
        super().build(shapes)

    def adjust(self, numbers: Mapping[str, float]) -> None:
        for argument, variable in zip(self.arguments, self.trainable_variables, strict=True):
            variable.assign(numbers[argument])

    def initial_state(self, parameters, weights, seed):
        return self._with(parameters, weights).initial_state([], weights, seed)

    def update(self, parameters, weights, gradients, state):
        return self._with(parameters, weights).update([], weights, gradients, state)

    def _with(self, parameters, weights):
        numbers = [tf.cast(parameter, weights[0].dtype) for parameter in parameters]
        return self.kind(**dict(zip(self.arguments, numbers, strict=True)))
