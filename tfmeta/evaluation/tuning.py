"""The numbers of hand-designed optimizers, tuned by random search."""

import zlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from tfmeta.checks import check_count
from tfmeta.evaluation.hand_designed import HAND_DESIGNED, Range, Rivals
from tfmeta.problems.base import ProblemFamily

# Rounding in float32 leaves about as much of a sum of squares near 1: below it losses say nothing.
LEAST_LOSS = 1e-12
# Of each quarter of the trials: the standard deviation around the best so far, as a part of each
# range, or None for a draw from the whole range.
_SPREADS = (None, None, 0.1, 0.03)
_END = 0.05  # the part of a range at which a number counts as being at its end


class Found(NamedTuple):
    """The best trial of a search.

    Attributes:
        numbers: by argument.
        score: there.
        at_end: the arguments whose number lies in the first or the last twentieth of its range.
    """

    numbers: dict[str, float]
    score: float
    at_end: list[str]


class Search:
    """A random search for the lowest score, first everywhere, then around the best trial.

    Args:
        ranges: of the numbers, by argument. Draws are even over the places of a range.
        seed: of the draws.
    """

    def __init__(self, ranges: Mapping[str, Range], seed: int):
        self.ranges = dict(ranges)
        self._random = np.random.default_rng(seed)
        self._low, self._high = (
            np.array([getattr(r, end) for r in ranges.values()]) for end in ("low", "high")
        )
        self._places = np.empty((0, len(ranges)))
        self._scores = np.empty(0)

    def draw(self, count: int, spread: float | None = None) -> dict[str, np.ndarray]:
        """The numbers of the next trials.

        Args:
            count: how many.
            spread: standard deviation around the best trial, as a part of each range; None for
                a draw from all of it.

        Returns:
            `[count]` by argument.
        """
        shape = (count, len(self.ranges))
        if spread is None:
            parts = self._random.random(shape)
        else:
            parts = (self._places[self._best()] - self._low) / (self._high - self._low)
            parts = (parts + spread * self._random.standard_normal(shape)).clip(0, 1)
        places = self._low + (self._high - self._low) * parts
        self._places = np.concatenate([self._places, places])
        return self._numbers(places)

    def learn(self, scores: np.ndarray) -> None:
        """Takes the scores of the trials drawn last; inf where the numbers are useless."""
        self._scores = np.concatenate([self._scores, scores])

    def found(self) -> Found:
        """The best trial of all."""
        best = self._best()
        places = self._places[best]
        part = (places - self._low) / (self._high - self._low)
        at_end = [
            name
            for name, end in zip(self.ranges, np.minimum(part, 1 - part) <= _END, strict=True)
            if end
        ]
        numbers = {name: float(number) for name, number in self._numbers(places).items()}
        return Found(numbers, float(self._scores[best]), at_end)

    def _best(self) -> int:
        # Where all numbers are useless, lower ones may not be.
        return int(np.lexsort([*self._places.T[::-1], self._scores])[0])

    def _numbers(self, places: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: range_.number(places[..., i])
            for i, (name, range_) in enumerate(self.ranges.items())
        }


def tune(
    problems: ProblemFamily,
    steps: int,
    count: int,
    trials: int = 100,
    names: Collection[str] = tuple(HAND_DESIGNED),
) -> dict[str, Found]:
    """Searches the numbers with which hand-designed optimizers minimize best.

    That is, with the lowest mean of log10 of the loss after the last step, see `log10_loss`. The
    draws depend on nothing but the name of the optimizer, so that a search can be made again.

    Args:
        problems: the family to tune for.
        steps: how many steps a problem is given.
        count: how many problems, of all ranks together; every rank finds the same.
        trials: of each optimizer, rounded up to a multiple of four: one half anywhere, the other
            around the best so far.
        names: of the optimizers, in `HAND_DESIGNED`.

    Returns:
        By name, in the order of `names`.

    Raises:
        ArgumentError: fewer problems than ranks, or an argument is out of range.
    """
    check_count("trials", trials)
    rivals = Rivals(problems, steps, count)
    searches = {
        name: Search(HAND_DESIGNED[name].ranges, zlib.crc32(name.encode())) for name in names
    }
    for spread in _SPREADS:
        drawn = {
            name: search.draw(-(-trials // len(_SPREADS)), spread)
            for name, search in searches.items()
        }
        for name, measures in rivals(drawn).items():
            searches[name].learn(log10_loss(measures[:, :, -1, 0]).mean(axis=1))
    return {name: search.found() for name, search in searches.items()}


def log10_loss(losses: np.ndarray) -> np.ndarray:
    """log10 of losses: of `LEAST_LOSS` where they are smaller, inf where they are not finite."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return np.log10(np.maximum(losses, LEAST_LOSS))
