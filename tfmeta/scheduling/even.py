"""The schedule of problems of one family, shared evenly."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from tfmeta import distributed
from tfmeta.scheduling.schedule import Load, Schedule, Slice


class EvenSchedule:
    """One family, its problems shared evenly by the ranks: the schedule of plain training.

    It never changes, whatever times the ranks take, so that a training that was killed goes on as
    if it had not been. Attributes and methods are those of a `BalancedSchedule`.

    Args:
        tasks: the number of problems in a meta-iteration, of all ranks together.
    """

    adapts = False
    cuts_clusters = True

    def __init__(self, tasks: int):
        ranks = distributed.size()
        self.loads = [Load(0, tasks, 1.0)]
        shares = [distributed.share(tasks, rank, ranks) for rank in range(ranks)]
        self.slices: Schedule = [[Slice(0, mine.start, mine.stop)] for mine in shares]

    def set_clusters(self, clusters: Sequence[int]) -> None:
        """Puts the one family into the one cluster that there is."""

    def begin(self) -> None:
        """A meta-iteration begins."""

    def clock(self, part: Slice, steps: int = 0) -> AbstractContextManager[None]:
        """Takes no times."""
        return nullcontext()

    def end(self, step: int, steps: int) -> None:
        """A meta-iteration has ended."""
