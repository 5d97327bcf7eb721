"""Intervals over tasks, and when a training has reached an accuracy."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special


def interval95(values: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % interval of the mean over tasks: t sd / sqrt(tasks).

    t is the 97.5 % quantile of Student's distribution: of 600 tasks 1.96, of three seeds 4.3.

    Args:
        values: one value for each task, [tasks, ...].
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], math.nan)
    quantile = special.stdtrit(len(values) - 1, 0.975)
    return quantile * values.std(axis=0, ddof=1) / math.sqrt(len(values))


def first_lasting(accuracies: Sequence[float], target: float) -> int | None:
    """The index of the first of three accuracies in a row that are at least the target, or None.

    A single lucky evaluation does not count.
    """
    for place in range(len(accuracies) - 2):
        if all(accuracy >= target for accuracy in accuracies[place : place + 3]):
            return place
    return None
