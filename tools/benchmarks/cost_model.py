"""The time of an outer step on N ranks, from what collectives cost on a few.

    T(N) = compute + latency(N) + bytes(N) / bandwidth

Compute is that of a rank's own tasks. A ring sum of B bytes sends 2 (N - 1) / N B from every rank.
A gather of B bytes of every rank brings (N - 1) B to each. Latency and bandwidth are those of the
line that fits the measured seconds, the bandwidth that of two ranks. Beyond the measured numbers of
ranks the latency grows by one of two laws: a + b log2 N, as where messages travel in a tree, or
a + b N, as where they go around a ring or one rank hears from every other one. b is at least 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Line(NamedTuple):
    """Seconds as a function of bytes.

    Attributes:
        latency: Seconds of no bytes.
        bandwidth: Bytes in a second.
    """

    latency: float
    bandwidth: float


class Collective(NamedTuple):
    """What a collective costs.

    Attributes:
        latencies: Seconds by number of ranks, as measured.
        bandwidth: Bytes in a second.
    """

    latencies: Mapping[int, float]
    bandwidth: float

    def seconds(self, ranks: int, size: float, law: str) -> float:
        """Seconds on so many ranks; 0 on one.

        Args:
            ranks: How many.
            size: Bytes that a rank sends or receives.
            law: `"log"` or `"linear"`, how the latency grows beyond what was measured.
        """
        if ranks == 1:
            return 0.0
        latency = self.latencies.get(ranks)
        if latency is None:
            latency = _grown(self.latencies, ranks, law)
        return latency + size / self.bandwidth


def bytes_of_sum(ranks: int, size: float) -> float:
    """What each rank sends for a ring sum of `size` bytes."""
    return 2 * (ranks - 1) / ranks * size


def bytes_of_gather(ranks: int, tasks: int, queries: int, outputs: int) -> float:
    """What each rank receives where predictions, labels, losses and weights are joined.

    Args:
        ranks: How many.
        tasks: Of each rank.
        queries: Query examples of a task.
        outputs: Numbers that are predicted for an example. All numbers have four bytes.
    """
    return (ranks - 1) * tasks * (queries * (4 * outputs + 4) + 8)


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line with the least squares of relative errors.

    Args:
        sizes: Bytes, at least two different ones.
        seconds: Of each.
    """
    weights = 1 / np.asarray(seconds)
    columns = np.stack([np.ones(len(sizes)), np.asarray(sizes, float)], axis=1)
    (latency, slope), *_ = np.linalg.lstsq(columns * weights[:, None], np.ones(len(sizes)))
    return Line(float(latency), float(1 / slope))


def predict(
    compute: float,
    total: Collective,
    gather: Collective,
    ranks: int,
    size: float,
    tasks: int,
    queries: int,
    outputs: int,
) -> dict[str, Any]:
    """A row of the table: milliseconds by law, and bytes.

    Args:
        compute: Seconds of a rank's own tasks.
        total: The sum over the ranks.
        gather: What a step needed besides before metrics were summed.
        ranks: How many.
        size: Bytes of the vector of a step.
        tasks: Of each rank.
        queries: Query examples of a task.
        outputs: Numbers that are predicted for an example.
    """
    sent, received = bytes_of_sum(ranks, size), bytes_of_gather(ranks, tasks, queries, outputs)
    row: dict[str, Any] = {"ranks": ranks, "sum_bytes": sent, "gather_bytes": received}
    for law in ("log", "linear"):
        of_sum = total.seconds(ranks, sent, law)
        of_gather = gather.seconds(ranks, received, law)
        milliseconds = {
            "sum": of_sum,
            "gather": of_gather,
            "step": compute + of_sum,
            "step_with_gather": compute + of_sum + of_gather,
            # One more sum, of a few numbers.
            "end_of_epoch": total.seconds(ranks, 0, law),
        }
        row[law] = {name: 1e3 * value for name, value in milliseconds.items()}
    return row


def _grown(latencies: Mapping[int, float], ranks: int, law: str) -> float:
    """The law's least squares fit, of the measured latencies, at a larger number of ranks."""

    def of(number: int) -> float:
        return math.log2(number) if law == "log" else number

    numbers, seconds = np.array([(of(n), latency) for n, latency in latencies.items()]).T
    slope = max(0.0, np.polyfit(numbers, seconds, 1)[0])
    return float(seconds.mean() + slope * (of(ranks) - numbers.mean()))
