"""The time of an update of the rule, in the forms that are trained."""

import statistics
from collections.abc import Mapping, Sequence

from ..asking import Worker
from ..turns import orders
from .forms import FORMS, LEARNINGS, PROBLEM_STEPS, QUALITY, cell
from .kept import Results


def measure_paces(
    jobs: Mapping[int, Worker],
    results: Results,
    recipe: str,
    problems_of: Mapping[str, Sequence[int]],
    blocks: int,
) -> None:
    """Measures what is not known yet: seconds of an update, by `pace_name`, in each block.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        recipe: Of the job, by which the rule is trained.
        problems_of: By learning, of how many problems of each family an update may be.
        blocks: How often the forms take turns.
    """

    def taken() -> dict[str, list[float]]:
        cells = {
            pace_name(form, problems): (form, cell(form, QUALITY, problems))
            for name, learning in LEARNINGS.items()
            for form in learning.forms
            for problems in problems_of[name]
        }

        def turn(name: str) -> float:
            form, asked = cells[name]
            job = jobs[FORMS[form]["ranks"]]
            return job.call("pace", recipe=recipe, problem_steps=PROBLEM_STEPS, **asked)["seconds"]

        for name in cells:  # traces the graphs
            turn(name)
        print("  built", flush=True)
        found: dict[str, list[float]] = {name: [] for name in cells}
        for order in orders(cells, blocks):
            for name in order:
                found[name].append(turn(name))
        medians = [f"{name} {1e3 * statistics.median(s):.3g} ms" for name, s in found.items()]
        print("  " + ", ".join(medians), flush=True)
        return found

    results.once(f"paces_{recipe}", taken)


def pace_name(form: str, problems: int) -> str:
    """What the time of a form is kept by, for so many problems of each family in an update."""
    return f"{form}_{problems}"


def seconds_of_an_update(known: Mapping, recipe: str, form: str, problems: int) -> float:
    """The median over blocks."""
    return statistics.median(known[f"paces_{recipe}"][pace_name(form, problems)])
