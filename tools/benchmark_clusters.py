"""Remakes the table and the curve of "Accelerating Gradient-based Meta Learner" on two cores.

    python tools/benchmark_clusters.py --output_dir=runs/clusters

What is trained is the hierarchical RNN with GRU cells, on problems of the paper's five types. The
baseline is the paper's figure 2: one problem at a time, one batch at a time, an update after every
unroll, in one process; its graphs are built once and nothing slows it down. Two measures are taken
and never mixed:

- the time of one step of one problem, for 2, 3, 4 and 5 clusters in two groups, and for 5 to 35
  tasks, of the baseline, of each acceleration alone, and of all together;
- the time of training, on one problem of each type at a time, until unseen softmax regressions
  reach 65 % of accuracy, and 90 % of what tuned Adam gains over the untrained rule: of the
  baseline, of the compiled baseline, and of all together, each with the meta-rate that suits it.

The forms take turns; what counts is the median of their ratios. Results are kept in the output
folder after every cell, and a second start goes on where the first has stopped. The last line on
standard output is one JSON object.
"""

import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.files import write_whole
from tfmeta.tools import program
from tfmeta.tools.cluster_job import UNROLL, reached
from tfmeta.tools.cluster_requests import Job, job
from tfmeta.tools.cluster_results import (
    FAMILIES,
    FORMS,
    FORMS_OF_CURVE,
    PAPER_CLUSTERS,
    TARGET,
    TRAINED,
    summarized,
    targets,
)

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "runs/clusters", "Folder of the results, to go on with if any.")
program.define_count("blocks", 5, 1, "How often the forms take turns in a cell.")
program.define_count("seeds", 3, 1, "Trainings to the accuracy, of each form.")
program.define_positive("limit", 10.0, "Seconds after which a training to the accuracy gives up.")
flags.DEFINE_list(
    "measures", ["task_step", "accuracy"], "What to measure: task_step, accuracy, or both."
)

_PROBLEMS = 7  # of a family, in the table: 35 tasks with all five
_TASKS = (5, 10, 15, 20, 25, 30, 35)
_SECONDS = 0.7  # that a form's turn lasts, about: at most 15 seconds for a cell's block

_PROBLEM_STEPS = 100
_EVALUATED = 5  # problems of each of the four sizes
_EVALUATE_EVERY = 0.1  # of the seconds so far
_RATES = (3e-3, 1e-2, 3e-2, 1e-1)


def main() -> None:
    unknown = set(FLAGS.measures) - {"task_step", "accuracy"}
    if unknown or not FLAGS.measures:
        raise ArgumentError(
            "measures", ",".join(FLAGS.measures), "give task_step, accuracy, or both."
        )
    folder = Path(FLAGS.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results = Results(folder / "results.json")
    except (OSError, json.JSONDecodeError) as error:
        raise ArgumentError(
            "output_dir", FLAGS.output_dir, f"it cannot be used ({error}); give another folder."
        ) from None
    if len(os.sched_getaffinity(0)) < 2:
        raise ArgumentError("output_dir", FLAGS.output_dir, "two ranks need two cores; use them.")
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        jobs = {ranks: stack.enter_context(job(folder, ranks)) for ranks in (1, 2)}
        if "task_step" in FLAGS.measures:
            _measure_task_steps(jobs, results)
        if "accuracy" in FLAGS.measures:
            _measure_trainings(jobs, results)
    summary = {**summarized(results.known), "seconds": time.monotonic() - started}
    from tfmeta.tools.cluster_figure import draw

    draw(folder / "clusters.png", results.known)
    write_whole(folder / "summary.json", json.dumps(summary))
    print(json.dumps(summary), flush=True)


def _measure_task_steps(jobs: dict[int, Job], results: "Results") -> None:
    for clusters in reversed(PAPER_CLUSTERS):  # the whole first
        results.once(f"clusters_{clusters}", _cell, jobs, FORMS, clusters, _PROBLEMS)
    for tasks in _TASKS:
        name, problems = f"tasks_{tasks}", tasks // len(FAMILIES)
        if problems == _PROBLEMS:
            results.once(name, lambda: results.known[f"clusters_{len(FAMILIES)}"])
        else:
            results.once(name, _cell, jobs, FORMS_OF_CURVE, len(FAMILIES), problems)


def _measure_trainings(jobs: dict[int, Job], results: "Results") -> None:
    results.once("accuracies", _accuracies, jobs)
    # The compiled baseline makes the same updates as the baseline, sooner.
    for form in TRAINED:
        if form != "baseline":
            results.once(f"rate_{form}", _best_rate, jobs, form, results)
    results.once("rate_baseline", lambda: results.known["rate_compiled"])
    # Seed by seed, so that the forms take turns.
    for seed in range(FLAGS.seeds):
        for form in TRAINED:
            results.once(f"training_{form}_{seed}", _training, jobs, form, seed, results)


class Results:
    """What has been measured, in a file that is whole after every cell."""

    def __init__(self, path: Path):
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def once(self, name: str, measure: Callable[..., Any], *arguments: Any) -> None:
        """Measures what is not known yet."""
        if name not in self.known:
            print(f"{name} ...", flush=True)
            self.known[name] = measure(*arguments)
            write_whole(self.path, json.dumps(self.known))


def _cell(
    jobs: dict[int, Job], forms: Iterable[str], clusters: int, problems: int
) -> dict[str, Any]:
    """The seconds of a step of one problem in each form, turn by turn."""
    cells = {form: _request(form, FAMILIES[:clusters], problems) for form in forms}

    def turn(form: str, meta_iterations: int) -> dict[str, Any]:
        asked = jobs[FORMS[form]["ranks"]]
        return asked.call("time", meta_iterations=meta_iterations, **cells[form])

    counts = {}
    for form, cell in cells.items():
        batches = UNROLL * problems * clusters * cell["batches"]
        counts[form] = max(1, round(_SECONDS / (batches * turn(form, 1)["seconds"])))
    taken: dict[str, list[dict[str, Any]]] = {form: [] for form in cells}
    for block in range(FLAGS.blocks):
        for form in cells if block % 2 == 0 else reversed(list(cells)):
            taken[form].append(turn(form, counts[form]))
    seconds = {form: [turn["seconds"] for turn in turns] for form, turns in taken.items()}
    medians = [f"{form} {1e3 * statistics.median(s):.3g} ms" for form, s in seconds.items()]
    print("  " + ", ".join(medians), flush=True)
    return {
        form: {name: [turn[name] for turn in turns] for name in turns[0]}
        for form, turns in taken.items()
    }


def _request(form: str, families: tuple[str, ...], problems: int) -> dict[str, Any]:
    how = dict(FORMS[form])
    del how["ranks"]
    one_cluster = how.pop("one_cluster", False)
    clusters = [0] * len(families) if one_cluster else list(range(len(families)))
    return {"families": list(families), "clusters": clusters, "problems": problems, **how}


def _accuracies(jobs: dict[int, Job]) -> dict[str, float]:
    """The held-out accuracy of the untrained rule, and of Adam tuned for these problems."""
    accuracies = jobs[1].call("accuracies", problem_steps=_PROBLEM_STEPS, problems=_EVALUATED)
    print("  " + ", ".join(f"{name} {value:.1f} %" for name, value in accuracies.items()))
    return accuracies


def _best_rate(jobs: dict[int, Job], form: str, results: Results) -> float:
    """The meta-rate that reaches the accuracy soonest, or comes closest; on a seed of its own."""

    def merit(rate: float) -> tuple[float, float]:
        name = f"tuning_{form}_{rate:g}"
        results.once(name, _training, jobs, form, FLAGS.seeds, results, rate)
        training = results.known[name]
        return (reached(training["curve"], TARGET) or float("inf"), -training["curve"][-1][2])

    return min(_RATES, key=merit)


def _training(
    jobs: dict[int, Job], form: str, seed: int, results: Results, rate: float | None = None
) -> dict[str, Any]:
    """A training to the first target where the rate is tuned, else to all of them."""
    training = jobs[FORMS[form]["ranks"]].call(
        "learn",
        problem_steps=_PROBLEM_STEPS,
        evaluate_every=_EVALUATE_EVERY,
        problems_of_type=_EVALUATED,
        target=TARGET if rate else max(targets(results.known).values()),
        limit=FLAGS.limit,
        rate=rate or results.known[f"rate_{form}"],
        seed=seed,
        **_request(form, FAMILIES, 1),
    )
    soonest = reached(training["curve"], TARGET)
    seconds, updates, accuracy = training["curve"][-1]
    print(
        f"  {TARGET:g} % after {soonest and round(soonest, 2)} s; {accuracy:.1f} % after "
        f"{seconds:.1f} s, {updates} updates of the rule",
        flush=True,
    )
    return training


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
