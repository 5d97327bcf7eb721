"""What clusters do to learning: by what they are formed, and how the rule moves by them.

Every course of training has as many problems, in the same addresses, as the others; and those that
take longer on two ranks are trained for as long as the quickest too. As in `fronts`, the time of an
update is measured apart, and trainings are run in the quickest form on one core.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmeta.evaluation.statistics import interval95

from ..asking import Worker
from .forms import FORMS, PROBLEM_STEPS, UNROLL
from .kept import Results
from .paces import paces
from .results import mean_accuracy, mean_score
from .trainings import TUNING_SEEDS, at_once, rivals, trained

# Of each type about one in four of the published families, so that types differ in size as there.
TYPES = {
    "quadratic": ("quadratic_normal_20",),
    "bowl": ("bowl_5_turned_45",),
    "softmax_regression": ("softmax_regression_10",),
    "two_dimensional": ("rosenbrock", "beale"),
    "fully_connected": ("fully_connected_8_8_5", "fully_connected_9_8", "fully_connected_7_8_5"),
}
FAMILIES = tuple(name for names in TYPES.values() for name in names)
_PROBLEMS = 4  # of each family, in a meta-iteration
_UNROLLS = PROBLEM_STEPS // UNROLL  # of a problem
_META_ITERATIONS = 45
# Of which one is chosen for each course, by what is within a cluster.
_RATES = {"accumulate": (1e-2, 3e-2, 1e-1), "update": (3e-3, 1e-2, 3e-2)}


class Course(NamedTuple):
    """How a rule is trained.

    Attributes:
        by: what clusters are formed by: `"type"`, `"gradient"`, or `"label"`: each family is one.
            None for a single one.
        within: of `registry.CLUSTER_UPDATES`.
    """

    by: str | None
    within: str

    @property
    def problems(self) -> int:
        """Problems whose unrolls make an update: all of a meta-iteration, or one."""
        return _PROBLEMS * len(FAMILIES) if self.within == "accumulate" else 1


COURSES = {
    "problems": Course("label", "accumulate"),  # all families are as large
    "types": Course("type", "accumulate"),
    "gradients": Course("gradient", "accumulate"),
    "sequential": Course(None, "update"),
    "copies by type": Course("type", "update"),
    "copies by gradient": Course("gradient", "update"),
}
QUICKEST = "problems"


class Clusterings:
    """Trainings by each of `COURSES`, of equal problems and of equal time.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks, for the times.
        learners: Workers of one rank, each on a core of its own, for the trainings.
        results: What is known, and where to keep more.
        seeds: How many trainings to make of each course.
    """

    def __init__(
        self,
        jobs: Mapping[int, Worker],
        learners: Sequence[Worker],
        results: Results,
        seeds: int,
    ):
        self.jobs, self.learners, self.results, self.seeds = jobs, learners, results, seeds

    def measure(self, blocks: int) -> None:
        """Measures what is not known yet.

        Args:
            blocks: How often the courses take turns where an update is timed.
        """
        self.results.once("clusterings_rivals", rivals, self.learners[0], FAMILIES)
        self.results.once("clusterings_paces", self._paces, blocks)
        self._train(
            (f"clusterings_tuning_{name}_{rate:g}_{seed}", name, seed, rate, updates(name))
            for seed in TUNING_SEEDS
            for name, course in COURSES.items()
            for rate in _RATES[course.within]
        )
        known = self.results.known
        self._train(
            (f"clusterings_{equal}_{name}_{seed}", name, seed, best_rate(known, name), count)
            for seed in range(self.seeds)
            for name in COURSES
            for equal, count in (
                ("problems", updates(name)),
                ("time", updates_in_time(known, name)),
            )
            if equal == "problems" or count < 0.95 * updates(name)
        )

    def _paces(self, blocks: int) -> dict[str, list[float]]:
        """Seconds of an update by each course, in each block; on two ranks where it can be."""
        cells = {
            name: (
                self.jobs[1 if course.by is None else 2],
                _cell(name, self._clusters(self.jobs[1], name, seed=0)),
            )
            for name, course in COURSES.items()
        }
        return paces(cells, "tuned", blocks)

    def _train(self, asked: Iterable[tuple[str, str, int, float, int]]) -> None:
        """Trainings by name, each of a course, a seed, a rate and a number of updates."""

        def train(work: tuple[str, str, int, float, int], learner: Worker) -> None:
            kept, *training = work
            self.results.once(kept, self._training, learner, *training)

        at_once(train, asked, self.learners)

    def _training(
        self, learner: Worker, name: str, seed: int, rate: float, count: int
    ) -> dict[str, Any]:
        return trained(
            learner,
            _cell(name, self._clusters(learner, name, seed)),
            count,
            rate,
            seed,
            lambda training: type_score(training, self.results.known["clusterings_rivals"]),
        )

    def _clusters(self, learner: Worker, name: str, seed: int) -> list[int]:
        """The clusters of a course; those by gradients depend on the seed's first rule."""
        by = COURSES[name].by
        if by is None:
            return [0] * len(FAMILIES)
        each = list(range(len(FAMILIES)))
        if by == "label":
            return each
        kept = f"clusterings_by_{by}_{seed}"
        self.results.once(
            kept,
            lambda: learner.call(
                "clusters_by",
                by=by,
                number=len(TYPES),
                recipe="tuned",
                problem_steps=PROBLEM_STEPS,
                seed=seed,
                **_cell(QUICKEST, each),
            ),
        )
        return self.results.known[kept]["clusters"]


def _cell(name: str, clusters: list[int]) -> dict[str, Any]:
    """What a job is to build for a course."""
    course = COURSES[name]
    how = FORMS["all_on_one_rank" if course.within == "accumulate" else "compiled"]
    kept = {key: how[key] for key in ("vectorized", "xla", "batches", "cluster_groups")}
    return {
        "families": list(FAMILIES),
        "clusters": clusters,
        # One problem at a time comes in rounds of all families.
        "problems": 1 if course.by is None else _PROBLEMS,
        "within_cluster": course.within,
        **kept,
    }


def updates(name: str) -> int:
    """Of a course's training of as many problems as the others."""
    problems = _PROBLEMS * len(FAMILIES)
    return _META_ITERATIONS * _UNROLLS * problems // COURSES[name].problems


def updates_in_time(known: Mapping[str, Any], name: str) -> int:
    """Of a course's training that takes as long as the quickest, of whole meta-iterations."""
    taken = {course: statistics.median(known["clusterings_paces"][course]) for course in COURSES}
    whole = updates(name) // _META_ITERATIONS
    return max(1, round(updates(QUICKEST) * taken[QUICKEST] / taken[name] / whole)) * whole


def best_rate(known: Mapping[str, Any], name: str) -> float:
    """The rate of the best mean score, on the seeds that it is tuned on."""

    def score(rate: float) -> float:
        return sum(
            type_score(
                known[f"clusterings_tuning_{name}_{rate:g}_{seed}"], known["clusterings_rivals"]
            )
            for seed in TUNING_SEEDS
        )

    return min(_RATES[COURSES[name].within], key=score)


def type_score(training: Mapping[str, Any], rivals: Mapping[str, Any]) -> float:
    """`mean_score` of which each type of problems counts once."""
    return statistics.mean(mean_score(training, rivals, names) for names in TYPES.values())


def summarized(known: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of what was measured, by course, for equal problems and for equal time.

    Returns:
        By `"problems"` and `"time"`, and by course: the `score` and the `accuracy` of each seed's
        rule; and what its score is more than that of `QUICKEST` with the same problems, seed by
        seed: the mean, `more`, and its `ci95`. A course that is missing for equal time is as quick.
    """
    if "clusterings_rivals" not in known:
        return {}

    def scores(equal: str, name: str) -> list[dict[str, float]]:
        mark = f"clusterings_{equal}_{name}_"
        return [
            {
                "score": type_score(training, known["clusterings_rivals"]),
                "accuracy": mean_accuracy(training),
            }
            for training in (known[kept] for kept in sorted(known) if kept.startswith(mark))
        ]

    summary: dict[str, Any] = {}
    quickest = scores("problems", QUICKEST)
    for equal in ("problems", "time"):
        summary[equal] = {}
        for name in COURSES:
            found = scores(equal, name)
            if not found:
                continue
            differences = np.array(
                [own["score"] - other["score"] for own, other in zip(found, quickest, strict=False)]
            )
            summary[equal][name] = {
                **{measure: [one[measure] for one in found] for measure in found[0]},
                "more": float(differences.mean()),
                "ci95": float(interval95(differences)),
            }
    return summary
