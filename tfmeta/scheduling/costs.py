"""What like tasks cost that run as one, from times of different numbers of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Cost(NamedTuple):
    """Seconds of n tasks that run as one: `start` + n `seconds`.

    Attributes:
        start: whatever their number: each operation on all of them has to be started once.
        seconds: of one more task.
    """

    start: float
    seconds: float


# Where times say that more tasks cost nothing, each still costs so much of the whole.
_LEAST = 1e-3


def fit(times: Mapping[int, float]) -> Cost:
    """The cost that is nearest to measured times, by the sum of squared relative errors.

    One time alone is taken to be proportional to the number of tasks.

    Args:
        times: measured seconds by number of tasks; at least one.
    """
    from scipy.optimize import nnls

    numbers, seconds = (np.array(values, float) for values in zip(*times.items(), strict=True))
    if len(times) == 1:
        return Cost(0.0, float(seconds[0] / numbers[0]))
    start, slope = nnls(np.stack([1 / seconds, numbers / seconds], axis=1), np.ones(len(times)))[0]
    least = _LEAST * seconds.mean() / numbers.mean()
    return Cost(float(start), float(max(slope, least)))
