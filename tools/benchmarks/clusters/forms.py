"""The forms of training that tools/benchmark_clusters.py compares, and the figures of the paper."""

from collections.abc import Sequence
from typing import Any, NamedTuple

UNROLL = 20  # steps between two updates of the rule
PROBLEM_STEPS = 100  # of a problem, where a rule is trained to be evaluated
# One family of each of the paper's types: softmax regression, quadratic, functions of two
# variables, bowl, fully connected network. The table takes the first two, three, four, five.
FAMILIES = (
    "softmax_regression_10",
    "quadratic_normal_20",
    "rosenbrock",
    "bowl_5_turned_45",
    "fully_connected_8_8_5",
)
# The published sizes of the paper's measure, and the families that a rule is trained and evaluated
# on where its quality counts.
SOFTMAX = tuple(f"softmax_regression_{features}" for features in (10, 100, 200, 256))
QUALITY = tuple(dict.fromkeys([*FAMILIES, *SOFTMAX]))
_BATCHES = 4  # of parallel batches
_SEQUENTIAL = {"within_cluster": "update", "cluster_groups": "whole", "one_cluster": True}
_TOGETHER = {"within_cluster": "accumulate", "cluster_groups": "split"}
_PLAIN = {"ranks": 1, "vectorized": False, "xla": False, "batches": 1}
FORMS: dict[str, dict[str, Any]] = {
    "baseline": {**_PLAIN, **_SEQUENTIAL},
    "compiled": {**_PLAIN, **_SEQUENTIAL, "xla": True},
    "parallel_batches": {**_PLAIN, **_SEQUENTIAL, "batches": _BATCHES},
    "stacked": {**_PLAIN, **_TOGETHER, "vectorized": True},
    "one_rank": {**_PLAIN, **_TOGETHER},
    "two_ranks": {**_PLAIN, **_TOGETHER, "ranks": 2},
    "two_ranks_whole": {**_PLAIN, **_TOGETHER, "ranks": 2, "cluster_groups": "whole"},
    "all_on_one_rank": {**_PLAIN, **_TOGETHER, "vectorized": True, "xla": True},
    "all": {**_PLAIN, **_TOGETHER, "vectorized": True, "xla": True, "ranks": 2},
}
# Of the cells of the curve over tasks: all but one, whose graphs take longest to compile.
FORMS_OF_CURVE = tuple(form for form in FORMS if form != "all_on_one_rank")


class Learning(NamedTuple):
    """A course of updates, which is the same, to rounding, in each of the forms that follow it.

    Attributes:
        forms: those that follow it.
        within: the form whose seconds the budgets are.
        share: of a budget that its trainings may take.
        run: the form by which it is run, on one core in the least time.
        problems: of each family in an update.
    """

    forms: tuple[str, ...]
    within: str
    share: float
    run: str
    problems: int


LEARNINGS = {
    "sequential": Learning(("baseline", "compiled"), "baseline", 1.0, "compiled", 1),
    "together": Learning(("all",), "all", 0.1, "all_on_one_rank", 4),
}
LEARNING_OF = {form: name for name, learning in LEARNINGS.items() for form in learning.forms}
TRAINED = tuple(LEARNING_OF)

# Of the paper: times as fast as its base by number of clusters, by its seconds of both; overall
# speed-up by number of tasks, read off its plot.
PAPER_CLUSTERS = {2: 1.75, 3: 2.12, 4: 2.31, 5: 1.76}
PAPER_TASKS = {5: 1.72, 10: 3.44, 15: 4.09, 20: 3.34, 25: 3.73, 30: 3.65, 35: 3.60}
TARGET = 65.0  # per cent


def cell(form: str, families: Sequence[str], problems: int) -> dict[str, Any]:
    """What a job is to build for a form.

    Args:
        form: A name of `FORMS`.
        families: Names of families of problems.
        problems: Of each family in a meta-iteration.
    """
    how = dict(FORMS[form])
    del how["ranks"]
    one_cluster = how.pop("one_cluster", False)
    clusters = [0] * len(families) if one_cluster else list(range(len(families)))
    return {"families": list(families), "clusters": clusters, "problems": problems, **how}
