"""Trainings by all `LEARNINGS` at once, where they are not timed: each has a core of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from ..asking import Worker


def at_once(train: Callable[[str, Worker], None], learners: Mapping[str, Worker]) -> None:
    """Calls `train` for every learning at once; where one fails, all end.

    Args:
        train: Given the name of a learning and the worker that runs its trainings.
        learners: Those workers, by name of the learning.
    """
    with ThreadPoolExecutor() as pool:
        started = [pool.submit(train, name, worker) for name, worker in learners.items()]
        try:
            for future in as_completed(started):
                future.result()
        except BaseException:
            for worker in learners.values():
                worker.terminate()
            raise
