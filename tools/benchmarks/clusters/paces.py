"""The time of an update of the rule, in the forms that are trained."""

import statistics
from collections.abc import Mapping
from typing import Any

from ..asking import Worker
from ..turns import in_turns
from .forms import FORMS, LEARNING_OF, LEARNINGS, PROBLEM_STEPS, QUALITY, cell
from .kept import Results


def measure_paces(
    jobs: Mapping[int, Worker], results: Results, measure: str, recipe: str, blocks: int
) -> None:
    """Measures what is not known yet: seconds of an update by each form, in each block.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        measure: What they are for, `"quality"` or `"published"`.
        recipe: Of the job, by which the rule is trained.
        blocks: How often the forms take turns.
    """

    cells = {
        form: (jobs[FORMS[form]["ranks"]], cell(form, QUALITY, LEARNINGS[name].problems))
        for form, name in LEARNING_OF.items()
    }
    results.once(f"paces_{measure}", paces, cells, recipe, blocks)


def paces(
    cells: Mapping[str, tuple[Worker, Mapping[str, Any]]], recipe: str, blocks: int
) -> dict[str, list[float]]:
    """Seconds of an update by each of several cells, in each block.

    Args:
        cells: By name a worker of `jobs.clusters`, and what it is to build.
        recipe: Of the job.
        blocks: How often the cells take turns.
    """

    def turn(name: str) -> float:
        job, built = cells[name]
        return job.call("pace", recipe=recipe, problem_steps=PROBLEM_STEPS, **built)["seconds"]

    for name in cells:  # traces the graphs
        turn(name)
    print("  built", flush=True)
    found = in_turns(cells, turn, blocks)
    medians = [f"{name} {1e3 * statistics.median(s):.3g} ms" for name, s in found.items()]
    print("  " + ", ".join(medians), flush=True)
    return found


def seconds_of_an_update(known: Mapping, measure: str, form: str) -> float:
    """The median over blocks."""
    return statistics.median(known[f"paces_{measure}"][form])


def updates_within(known: Mapping, measure: str, learning: str, budget: float) -> int:
    """How many updates a learning's trainings have, at least 2.

    Args:
        known: What was measured.
        measure: As of `measure_paces`.
        learning: A name of `LEARNINGS`.
        budget: Seconds, of which it may take its share.
    """
    within, share = LEARNINGS[learning].within, LEARNINGS[learning].share
    return max(2, round(share * budget / seconds_of_an_update(known, measure, within)))
