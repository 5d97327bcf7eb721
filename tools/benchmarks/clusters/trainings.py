"""Trainings that are not timed: by all workers at once, each of which has a core of its own."""

import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

from ..asking import Worker
from .forms import PROBLEM_STEPS
from .results import mean_accuracy

T = TypeVar("T")

TUNING_SEEDS = (1000, 1001)  # of trainings by which a rate is chosen
EVALUATED = 20  # problems of each family, after a training


def rivals(learner: Worker, families: Sequence[str]) -> dict[str, float]:
    """How the best hand-designed optimizer ends on the problems that trainings are evaluated on."""
    return learner.call(
        "rivals", problem_steps=PROBLEM_STEPS, evaluated=families, problems=EVALUATED
    )


def trained(
    learner: Worker,
    cell: Mapping[str, Any],
    updates: int,
    rate: float,
    seed: int,
    score: Callable[[Mapping[str, Any]], float],
) -> dict[str, Any]:
    """How a training ends, and of how many `updates` it was.

    Args:
        learner: A worker of `jobs.clusters`.
        cell: What it is to build; the rule is evaluated on the families that it is trained on.
        updates: Of the rule.
        rate: The highest of the outer optimizer.
        seed: Of the rule and of the problems.
        score: Of a training, which is printed.
    """
    training = learner.call(
        "train",
        updates=updates,
        recipe="tuned",
        problem_steps=PROBLEM_STEPS,
        evaluated=cell["families"],
        problems_of_family=EVALUATED,
        rate=rate,
        seed=seed,
        **cell,
    )
    found = f"score {score(training):.3f}, {mean_accuracy(training):.1f} %"
    print(f"  {updates} updates at {rate:g}: {found}", flush=True)
    return {"updates": updates, **training}


def at_once(
    train: Callable[[T, Worker], None], work: Iterable[T], learners: Iterable[Worker]
) -> None:
    """Has the next worker that is free do the next piece of work; where one fails, all end.

    Args:
        train: Given a piece of work and the worker that does it.
        work: All of it.
        learners: The workers.
    """
    workers = list(learners)
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def do(piece: T) -> None:
        worker = free.get()
        try:
            train(piece, worker)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        started = [pool.submit(do, piece) for piece in work]
        try:
            for future in as_completed(started):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.terminate()
            raise
