"""The time of training as published, nothing tuned, until unseen problems keep an accuracy."""

from collections.abc import Sequence
from typing import Any

from ..asking import Worker
from .forms import LEARNINGS, PROBLEM_STEPS, QUALITY, SOFTMAX, TARGET, cell
from .kept import Results
from .paces import updates_within
from .results import reached
from .trainings import at_once

_EVALUATED = 5  # problems of each of the four sizes
_EVALUATE_EVERY = 0.1  # of the updates so far


def measure(learners: Sequence[Worker], results: Results, trainings: int, limit: float) -> None:
    """Measures what is not known yet.

    Args:
        learners: Workers of `jobs.clusters`, each on a core of its own.
        results: What is known, the time of an update among it, and where to keep more.
        trainings: How many to make of each of `LEARNINGS`.
        limit: Seconds that each takes, of the baseline; of all together the share of `LEARNINGS`.
    """

    def training(name: str, learner: Worker, seed: int) -> dict[str, Any]:
        learning = LEARNINGS[name]
        found = learner.call(
            "learn",
            updates=updates_within(results.known, "published", name, limit),
            problem_steps=PROBLEM_STEPS,
            evaluate_every=_EVALUATE_EVERY,
            evaluated=SOFTMAX,
            problems_of_family=_EVALUATED,
            seed=seed,
            **cell(learning.run, QUALITY, learning.problems),
        )
        held = reached(found["curve"], TARGET)
        updates, accuracy = found["curve"][-1]
        print(
            f"  {TARGET:g} % held from update {held} on; {accuracy:.1f} % after {updates}",
            flush=True,
        )
        return found

    def trainings_of(name: str, learner: Worker) -> None:
        for seed in range(trainings):
            results.once(f"published_{name}_{seed}", training, name, learner, seed)

    at_once(trainings_of, LEARNINGS, learners)
