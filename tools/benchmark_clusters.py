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
import time
from pathlib import Path

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.files import write_whole
from tfmeta.tools import program
from tfmeta.tools.benchmarks.asking import Worker
from tfmeta.tools.benchmarks.clusters.kept import Results
from tfmeta.tools.benchmarks.clusters.results import summarized
from tfmeta.tools.benchmarks.clusters.task_steps import measure_task_steps
from tfmeta.tools.benchmarks.clusters.trainings import Trainings

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "runs/clusters", "Folder of the results, to go on with if any.")
program.define_count("blocks", 5, 1, "How often the forms take turns in a cell.")
program.define_count("trainings", 3, 1, "Trainings to the accuracy, of each form.")
program.define_positive("limit", 10.0, "Seconds after which a training to the accuracy gives up.")
flags.DEFINE_list(
    "measures", ["task_step", "accuracy"], "What to measure: task_step, accuracy, or both."
)


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
        jobs = {}
        for ranks in (1, 2):  # each on a core of its own
            worker = Worker("jobs.clusters", ranks=ranks, one_core=ranks == 1)
            jobs[ranks] = stack.enter_context(worker)
            jobs[ranks].call("build")
        if "task_step" in FLAGS.measures:
            measure_task_steps(jobs, results, FLAGS.blocks)
        if "accuracy" in FLAGS.measures:
            Trainings(jobs, results, FLAGS.trainings, FLAGS.limit).measure()
    summary = {**summarized(results.known), "seconds": time.monotonic() - started}
    from tfmeta.tools.benchmarks.clusters.figure import draw

    draw(folder / "clusters.png", results.known)
    write_whole(folder / "summary.json", json.dumps(summary))
    print(json.dumps(summary), flush=True)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
