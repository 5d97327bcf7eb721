"""How the training of a problem is cut into unrolls."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tfmeta.checks import check_at_least_zero, check_count, check_seed
from tfmeta.errors import ArgumentError


class Lengths(NamedTuple):
    """The unrolls of one meta-iteration.

    Attributes:
        steps: of each unroll.
        fixed: whether unrolls have one of a few lengths, which can be built into graphs.
    """

    steps: list[int]
    fixed: bool


class FixedUnrolls:
    """Unrolls of equal length.

    Args:
        problem_steps: steps of a problem's training.
        unroll: steps of each unroll.

    Raises:
        ArgumentError: they are not whole numbers of at least 1, or `unroll` does not divide
            `problem_steps`.
    """

    def __init__(self, problem_steps: int, unroll: int):
        check_count("problem_steps", problem_steps)
        check_count("unroll", unroll)
        if problem_steps % unroll:
            raise ArgumentError(
                "unroll", unroll, f"it does not divide problem_steps, {problem_steps}."
            )
        self.unroll, self.count = unroll, problem_steps // unroll

    def __call__(self, step: int) -> Lengths:
        """The unrolls of meta-iteration number `step`."""
        return Lengths([self.unroll] * self.count, True)


class RandomHorizons(FixedUnrolls):
    """Unrolls of equal length, of a number that is drawn anew in each meta-iteration.

    The numbers are drawn evenly in their logarithm, from one unroll to all of `problem_steps`. Most
    trainings of problems are short, as most of what there is to learn is at their beginning; but a
    rule cannot rely on their end.

    Args:
        problem_steps: steps of the longest training of a problem.
        unroll: steps of each unroll.
        seed: of the draws; that of a meta-iteration depends on this and on its number alone.

    Raises:
        ArgumentError: as `FixedUnrolls`; or `seed` is not a whole number from 0 to 2**63 - 1.
    """

    def __init__(self, problem_steps: int, unroll: int, seed: int = 0):
        super().__init__(problem_steps, unroll)
        self.seed = check_seed(seed)

    def __call__(self, step: int) -> Lengths:
        draw = np.random.default_rng([self.seed, step]).uniform(0.0, math.log(self.count + 1))
        count = min(int(math.exp(draw)), self.count)
        return Lengths([self.unroll] * count, True)


class RandomUnrolls:
    """Unrolls of random number and length, the least plus an exponential draw each.

    Wichrowska et al. 2017 take 1 + Exp(40) unrolls of 50 + Exp(200) steps each (defaults of their
    public code).

    Args:
        least_unrolls: how many unrolls at least.
        more_unrolls: mean of the draw that is added.
        least_steps: how many steps at least in an unroll.
        more_steps: mean of the draw that is added.
        seed: of the draws; a meta-iteration's depend on this and on its number alone.

    Raises:
        ArgumentError: a count is not a whole number of at least 1, a mean is not a finite number of
            at least 0, or `seed` not a whole number from 0 to 2**63 - 1.
    """

    def __init__(
        self,
        least_unrolls: int = 1,
        more_unrolls: float = 40.0,
        least_steps: int = 50,
        more_steps: float = 200.0,
        seed: int = 0,
    ):
        check_count("least_unrolls", least_unrolls)
        check_count("least_steps", least_steps)
        for name, mean in (("more_unrolls", more_unrolls), ("more_steps", more_steps)):
            check_at_least_zero(name, mean)
        self.least_unrolls, self.more_unrolls = least_unrolls, more_unrolls
        self.least_steps, self.more_steps = least_steps, more_steps
        self.seed = check_seed(seed)

    def __call__(self, step: int) -> Lengths:
        """The unrolls of meta-iteration number `step`."""
        draws = np.random.default_rng([self.seed, step])
        unrolls = self.least_unrolls + round(draws.exponential(self.more_unrolls))
        steps = self.least_steps + np.rint(draws.exponential(self.more_steps, unrolls))
        return Lengths([int(count) for count in steps], False)


class InTurn:
    """Several ways to cut trainings, one after the other, meta-iteration by meta-iteration.

    Short unrolls and long ones teach different things. A gradient through many steps knows what a
    step does to the end of a training: where gradients are noisy, steps must shorten. But where
    steps are at the edge of stability, as they should be where gradients are exact, chaos drowns
    it, and a short unroll tells more.

    Args:
        ways: of which each gives the lengths of the unrolls, by the number of the meta-iteration.
    """

    def __init__(self, ways: Sequence[Callable[[int], Lengths]]):
        self.ways = list(ways)

    def __call__(self, step: int) -> Lengths:
        """The unrolls of meta-iteration number `step`."""
        return self.ways[step % len(self.ways)](step)
