"""The time of one step of one problem, in all forms, by clusters and by tasks."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from ..asking import Worker
from ..turns import in_turns
from .forms import FAMILIES, FORMS, FORMS_OF_CURVE, PAPER_CLUSTERS, PAPER_TASKS, UNROLL, cell
from .kept import Results

_PROBLEMS = 7  # of a family, in the table: 35 tasks with all five
_SECONDS = 0.7  # that a form's turn lasts, about: at most 15 seconds for a cell's block


def measure_task_steps(jobs: Mapping[int, Worker], results: Results, blocks: int) -> None:
    """Measures what is not known yet.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        blocks: How often the forms take turns in a cell.
    """
    for clusters in reversed(PAPER_CLUSTERS):  # the whole first
        results.once(f"clusters_{clusters}", _cell, jobs, blocks, FORMS, clusters, _PROBLEMS)
    for tasks in PAPER_TASKS:
        name, problems = f"tasks_{tasks}", tasks // len(FAMILIES)
        if problems == _PROBLEMS:
            results.once(name, lambda: results.known[f"clusters_{len(FAMILIES)}"])
        else:
            results.once(name, _cell, jobs, blocks, FORMS_OF_CURVE, len(FAMILIES), problems)


def _cell(
    jobs: Mapping[int, Worker], blocks: int, forms: Iterable[str], clusters: int, problems: int
) -> dict[str, Any]:
    """The seconds of a step of one problem in each form, turn by turn."""
    cells = {form: cell(form, FAMILIES[:clusters], problems) for form in forms}

    def turn(form: str, meta_iterations: int) -> dict[str, Any]:
        asked = jobs[FORMS[form]["ranks"]]
        return asked.call("time", meta_iterations=meta_iterations, **cells[form])

    counts = {}
    for form, built in cells.items():
        batches = UNROLL * problems * clusters * built["batches"]
        counts[form] = max(1, round(_SECONDS / (batches * turn(form, 1)["seconds"])))
    taken = in_turns(cells, lambda form: turn(form, counts[form]), blocks)
    seconds = {form: [turn["seconds"] for turn in turns] for form, turns in taken.items()}
    medians = [f"{form} {1e3 * statistics.median(s):.3g} ms" for form, s in seconds.items()]
    print("  " + ", ".join(medians), flush=True)
    return {
        form: {name: [turn[name] for turn in turns] for name in turns[0]}
        for form, turns in taken.items()
    }
