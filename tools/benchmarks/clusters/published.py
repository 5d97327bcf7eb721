"""The time of training as published, nothing tuned, until unseen problems keep an accuracy."""

from collections.abc import Mapping
from typing import Any

from ..asking import Worker
from .forms import FAMILIES, FORMS, PROBLEM_STEPS, TARGET, TRAINED, cell
from .kept import Results
from .results import reached

_EVALUATED = 5  # problems of each of the four sizes
_EVALUATE_EVERY = 0.1  # of the seconds so far


def measure(jobs: Mapping[int, Worker], results: Results, trainings: int, limit: float) -> None:
    """Measures what is not known yet.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        trainings: How many to make of each form.
        limit: Seconds that each takes.
    """

    def training(form: str, seed: int) -> dict[str, Any]:
        found = jobs[FORMS[form]["ranks"]].call(
            "learn",
            problem_steps=PROBLEM_STEPS,
            evaluate_every=_EVALUATE_EVERY,
            problems_of_family=_EVALUATED,
            limit=limit,
            seed=seed,
            **cell(form, FAMILIES, 1),
        )
        held = reached(found["curve"], TARGET)
        seconds, updates, accuracy = found["curve"][-1]
        print(
            f"  {TARGET:g} % held from {held and round(held, 2)} s on; {accuracy:.1f} % after "
            f"{seconds:.1f} s, {updates} updates of the rule",
            flush=True,
        )
        return found

    for seed in range(trainings):  # so that the forms take turns
        for form in TRAINED:
            results.once(f"published_{form}_{seed}", training, form, seed)
