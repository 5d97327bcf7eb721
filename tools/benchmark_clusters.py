"""Remakes the table and the curve of "Accelerating Gradient-based Meta Learner" on two cores.

    python tools/benchmark_clusters.py --output_dir=runs/clusters

What is trained is the hierarchical RNN with GRU cells, on problems of the paper's five types. The
baseline is the paper's figure 2: one problem at a time, one batch at a time, an update after every
unroll, in one process; its graphs are built once and nothing slows it down. Four measures are
taken and never mixed:

- `task_step`: the time of one step of one problem, for 2, 3, 4 and 5 clusters in two groups, and
  for 5 to 35 tasks, of the baseline, of each acceleration alone, and of all together;
- `quality`: how good the rule is that the baseline has after `--budgets` seconds of training, and
  all together after a tenth of that, each with the meta-rate that suits it and the budget: the
  accuracy on unseen softmax regressions, and log10 of the final losses less those of the best
  tuned hand-designed optimizer, there and on the five types; and how much sooner the accelerated
  forms have the quality that the baseline has after each budget. The budgets that are given by
  default take about forty minutes;
- `published`: the seconds until unseen softmax regressions keep 65 % for the rest of `--limit`
  seconds of training (all together: a tenth of that) by the published meta-optimizer, RMSProp at
  1e-6, nothing tuned;
- `clusterings`: how good the rule is that is trained over clusters by type, by gradient, or none,
  of as many problems and for as long a time; about half an hour.

What a training learns depends on its updates, not on the form that makes them. So for all but the
first the time of an update is measured in each form, and trainings are run in the quickest form on
one core: those of the baseline compiled.

The forms take turns; what counts is the median of their ratios. Results are kept in the output
folder after every cell, and a second start goes on where the first has stopped. The last line on
standard output is one JSON object.
"""

import contextlib
import json
import shlex
import time
from pathlib import Path
from typing import Any

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.files import write_whole
from tfmeta.tools import program
from tfmeta.tools.benchmarks.asking import Worker, cores
from tfmeta.tools.benchmarks.clusters import clusterings, published
from tfmeta.tools.benchmarks.clusters.fronts import Fronts
from tfmeta.tools.benchmarks.clusters.kept import Results
from tfmeta.tools.benchmarks.clusters.paces import measure_paces
from tfmeta.tools.benchmarks.clusters.results import summarized
from tfmeta.tools.benchmarks.clusters.task_steps import measure_task_steps
from tfmeta.tools.options.build import refuse
from tfmeta.training import folder_lock

FLAGS = flags.FLAGS
_MEASURES = ("task_step", "quality", "published", "clusterings")
flags.DEFINE_string("output_dir", "runs/clusters", "Folder of the results, to go on with if any.")
program.define_count("blocks", 5, 1, "How often the forms take turns in a cell.")
program.define_count("trainings", 3, 2, "Trainings of each form, and to each budget.")
program.define_positives(
    "budgets", [5.0, 15.0, 60.0, 240.0, 900.0], "Seconds of training of quality, of the baseline."
)
program.define_positive("limit", 900.0, "Seconds of training of published, of the baseline.")
flags.DEFINE_list("measures", ["task_step", "quality"], f"What to measure: {', '.join(_MEASURES)}.")


def main() -> None:
    if not FLAGS.measures or set(FLAGS.measures) - set(_MEASURES):
        raise ArgumentError("measures", FLAGS.measures, f"give some of {', '.join(_MEASURES)}.")
    if len(cores()) < 2:
        raise ArgumentError(
            "measures", FLAGS.measures, "two ranks need two cores, and there is one; run with two."
        )
    for name, measure in (("budgets", "quality"), ("limit", "published")):
        if measure not in FLAGS.measures:
            refuse([name], f"--measures lacks {measure}; add it, or leave this out.")
    budgets = sorted(set(FLAGS.budgets))
    folder = Path(FLAGS.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder_lock.take(folder / "lock")
        folder_lock.sign(lock)
        results = Results(folder / "results.json")
    except (OSError, ValueError) as error:
        raise ArgumentError(
            "output_dir", FLAGS.output_dir, f"it cannot be used ({error}); give another folder."
        ) from None
    program.keep(
        f"what is measured is kept; go on with --output_dir={shlex.quote(FLAGS.output_dir)}"
    )
    results.settle("blocks", FLAGS.blocks)
    if "published" in FLAGS.measures:
        results.settle("limit", FLAGS.limit)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        jobs = {1: _started(stack, core=0), 2: _started(stack, ranks=2)}  # which have a core each
        if "task_step" in FLAGS.measures:
            measure_task_steps(jobs, results, FLAGS.blocks)
        if "quality" in FLAGS.measures:
            measure_paces(jobs, results, "quality", "tuned", FLAGS.blocks)
        if "published" in FLAGS.measures:
            measure_paces(jobs, results, "published", "published", FLAGS.blocks)
        # The trainings of what follows are not timed, and run on both cores at once.
        learners = [jobs[1]]
        if set(FLAGS.measures) - {"task_step"}:
            learners.append(_started(stack, core=1))
        if "quality" in FLAGS.measures:
            Fronts(learners, results, FLAGS.trainings, budgets).measure()
        if "published" in FLAGS.measures:
            published.measure(learners, results, FLAGS.trainings, FLAGS.limit)
        if "clusterings" in FLAGS.measures:
            clusterings.Clusterings(jobs, learners, results, FLAGS.trainings).measure(FLAGS.blocks)
    summary = {
        **summarized(results.known),
        "clusterings": clusterings.summarized(results.known),
        "seconds": time.monotonic() - started,
    }
    from tfmeta.tools.benchmarks.clusters.figure import draw

    draw(folder / "clusters.png", results.known)
    write_whole(folder / "summary.json", json.dumps(summary))
    print(json.dumps(summary), flush=True)


def _started(stack: contextlib.ExitStack, **how: Any) -> Worker:
    """A worker that is ready, until the stack is left."""
    worker = stack.enter_context(Worker("jobs.clusters", **how))
    worker.call("build")
    return worker


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
