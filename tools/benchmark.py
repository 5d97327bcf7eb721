"""Measures tfmeta beside its rivals, in turns, after checking that both do the same work.

    python tools/benchmark.py --workload=omniglot_5w1s --rival_python=PATH
    python tools/benchmark.py --workload=lstm_quadratics --rival_python=PATH
    python tools/benchmark.py --workload=hierarchical_rnn

omniglot_5w1s and omniglot_5w1s_5steps are one second-order MAML meta-step (32 tasks, 5 ways, 1
shot, 1 query, and 1 or 5 inner steps) against learn2learn's MAML on learn2learn's network.
lstm_quadratics (128 quadratics in 10 dimensions) and lstm_network (one network of 15 910 weights on
images) are an unroll of 20 steps of the coordinatewise LSTM, with the meta-gradient and the update
by Adam, against the same in eager PyTorch. BUILD.md says how to install the rivals. Each side has
a process of its own, samples its own tasks within the time, and waits while the other one works.

Two workloads compare tfmeta with itself: ranks is the meta-step of omniglot_5w1s on two ranks, one
core each, against one rank on one core; hierarchical_rnn is a step of a problem in unrolls of the
hierarchical RNN, for a family of each type of problem, compiled by XLA, stacked, and one by one.

The workloads of learned optimizers run on one core, and their time is that of the CPU: the time on
the clock, were there no other work. Only ratios hold on a machine with other work. The last line on
standard output is one JSON object.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import load_image_classes
from tfmeta.errors import ArgumentError
from tfmeta.tools import program
from tfmeta.tools.rivals.comparisons import COMPARISONS, Comparison
from tfmeta.tools.rivals.worker import Worker, environment

FLAGS = flags.FLAGS

WARM_UP = 3
SAME_GRADIENT = 1e-4
# A family of each type of problem; of softmax regression a small and a large one.
FAMILIES = (
    "quadratic_normal_20",
    "bowl_5",
    "rosenbrock",
    "softmax_regression_10",
    "softmax_regression_100",
    "fully_connected_8_8_5",
)

flags.DEFINE_enum(
    "workload",
    "omniglot_5w1s",
    [*COMPARISONS, "ranks", "hierarchical_rnn"],
    "What to measure.",
)
flags.DEFINE_string(
    "rival_python", None, "The Python of an environment with the rival, see BUILD.md."
)
flags.DEFINE_string("dataset", "glyphs", "Image classes: as the flag of tools/train.py.")
flags.DEFINE_string("data_dir", None, "Folder of prepared TensorFlow Datasets, for tfds:NAME.")
program.define_count("blocks", 7, 1, "How often the sides take turns.")
program.define_count("steps", 10, 1, "Meta-steps, meta-iterations or unrolls of a turn.")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if FLAGS.workload == "ranks":
            results = _two_ranks(Path(folder))
        elif FLAGS.workload == "hierarchical_rnn":
            results = _hierarchical_rnn()
        else:
            results = _compared(COMPARISONS[FLAGS.workload], Path(folder))
    print(json.dumps({"workload": FLAGS.workload, **results}), flush=True)


def _compared(comparison: Comparison, folder: Path) -> dict[str, Any]:
    _check_rival(comparison.library)
    if comparison.one_core:
        _as_optimizers_are_trained()
    setting = asdict(comparison.setting(folder, _images))
    error = _gradient_error(comparison, folder, {**setting, "dtype": "float64"})
    print(f"the meta-gradients differ by {error:.1e} of the largest element", flush=True)
    if not error <= SAME_GRADIENT:
        raise RuntimeError(f"above {SAME_GRADIENT:.0e}: not the same work, so it is not timed")
    threads = _fastest_threads(comparison, setting)
    with _ours(comparison) as ours, _rival(comparison) as rival:
        sides = {"tfmeta": ours, comparison.library: rival}
        versions = {
            **ours.call("build", **setting)["versions"],
            **rival.call("build", threads=threads, **setting)["versions"],
        }
        results = take_turns({name: _turn(side) for name, side in sides.items()}, FLAGS.blocks)
        memory = {name: side.call("memory") for name, side in sides.items()}
    return {
        **results,
        "gradient_error": error,
        "peak_memory_mb": {name: used["peak_mb"] for name, used in memory.items()},
        # What the libraries take before there is any work; the peak includes it.
        "loaded_memory_mb": {name: used["loaded_mb"] for name, used in memory.items()},
        "rival_threads": threads,
        "versions": versions,
    }


def _turn(side: Worker) -> Callable[[], float]:
    """Warms a worker up; returns what lets it have a turn and gives the seconds of a step."""
    side.call("train", steps=WARM_UP)
    return lambda: side.call("train", steps=FLAGS.steps)["seconds"]


def _gradient_error(comparison: Comparison, folder: Path, setting: Mapping[str, Any]) -> float:
    """The largest difference of the two meta-gradients over the largest element of the rival's.

    The check runs in float64: in float32 an activation within rounding of ReLU's kink, of which
    a meta-batch of millions of activations has a few, falls on either side of it, and the inner
    gradient with it.
    """
    files = {name: str(folder / f"{name}.npz") for name in ("weights", "tasks")}
    gradients = {}
    with _ours(comparison) as ours, _rival(comparison) as rival:
        for side, more in ((ours, {}), (rival, {"threads": 1})):
            side.call("build", **setting, **more)
            path = str(folder / f"{side.name}.npz")
            side.call("gradient", gradient=path, **files)
            with np.load(path) as arrays:
                gradients[side] = [arrays[name] for name in arrays.files]
    pairs = list(zip(gradients[ours], gradients[rival], strict=True))
    return float(
        max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(b).max() for _, b in pairs)
    )


def _fastest_threads(comparison: Comparison, setting: Mapping[str, Any]) -> int:
    """How many threads make the rival fastest."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        return 1
    seconds = {}
    with _rival(comparison) as rival:
        for threads in (1, cores):
            rival.call("build", threads=threads, **setting)
            rival.call("train", steps=WARM_UP)
            seconds[threads] = rival.call("train", steps=WARM_UP)["seconds"]
    return min(seconds, key=lambda threads: seconds[threads])


def _two_ranks(folder: Path) -> dict[str, Any]:
    """One meta-batch on two ranks against one; each turn is a job of its own."""
    setting = asdict(COMPARISONS["omniglot_5w1s"].setting(folder, _images))
    peaks: dict[str, float] = {}

    def job(name: str, ranks: int) -> float:
        request, reply = folder / "request.json", folder / "reply.json"
        request.write_text(
            json.dumps(
                {
                    "build": setting,
                    "one_core": ranks == 1,
                    "warm_up": WARM_UP,
                    "steps": FLAGS.steps,
                    "reply": str(reply),
                }
            )
        )
        command = [sys.executable, "-m", "rivals.tfmeta_maml", str(request)]
        if ranks > 1:
            launcher = [sys.executable, "-m", "horovod.runner.launch", "-np", str(ranks)]
            command = [*launcher, *command]
        subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
        result = json.loads(reply.read_text())
        peaks[name] = max(result["peak_mb"], peaks.get(name, 0.0))
        return result["seconds"]

    results = take_turns(
        {"two_ranks": lambda: job("two_ranks", 2), "one_rank": lambda: job("one_rank", 1)},
        FLAGS.blocks,
    )
    # Of rank 0, where there are two.
    return {**results, "peak_memory_mb": peaks}


def _hierarchical_rnn() -> dict[str, Any]:
    """Seconds of a step of one of 16 problems, by family and form."""
    forms = {
        "xla": {"stacked": True, "xla": True},
        "stacked": {"stacked": True, "xla": False},
        "one_by_one": {"stacked": False, "xla": False},
    }
    _as_optimizers_are_trained()
    results = {}
    with contextlib.ExitStack() as stack:
        workers = {
            form: stack.enter_context(Worker(sys.executable, "tfmeta_hierarchical_rnn"))
            for form in forms
        }
        for family in FAMILIES:
            print(family, flush=True)
            for form, worker in workers.items():
                worker.call("build", family=family, meta_batch=16, unroll=20, **forms[form])
            turns = {form: _turn(worker) for form, worker in workers.items()}
            results[family] = take_turns(turns, FLAGS.blocks)
    return {"families": results}


def take_turns(sides: Mapping[str, Callable[[], float]], blocks: int) -> dict[str, Any]:
    """Lets sides take turns, in one order and, in every other block, in the opposite one.

    Args:
        sides: what measures ours, then the others, by name: seconds of a step.
        blocks: how many turns each side has.

    Returns:
        `ratios`: for each other side the median over the blocks of our time over its own in the
        same block; `spread`: the smallest and the largest; `milliseconds`: the median of each side.
    """
    ours, *others = sides
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for block in range(blocks):
        for name in sides if block % 2 == 0 else reversed(list(sides)):
            seconds[name].append(sides[name]())
        times = ", ".join(f"{name} {1e3 * taken[-1]:.3g} ms" for name, taken in seconds.items())
        print(f"block {block + 1}: {times}", flush=True)
    ratios = {
        other: [a / b for a, b in zip(seconds[ours], seconds[other], strict=True)]
        for other in others
    }
    return {
        "ratios": {other: statistics.median(found) for other, found in ratios.items()},
        "spread": {other: [min(found), max(found)] for other, found in ratios.items()},
        "milliseconds": {name: 1e3 * statistics.median(taken) for name, taken in seconds.items()},
    }


def _images() -> ImageClasses:
    return load_image_classes(FLAGS.dataset, 28, 1, FLAGS.data_dir)


def _as_optimizers_are_trained() -> None:
    """Keeps the processes that are started from now on to one core, and to oneDNN.

    That is how tools/train_optimizer.py has TensorFlow compute; PyTorch has oneDNN anyway.
    """
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _ours(comparison: Comparison) -> Worker:
    return Worker(sys.executable, comparison.ours)


def _rival(comparison: Comparison) -> Worker:
    return Worker(FLAGS.rival_python, comparison.rival)


def _check_rival(library: str) -> None:
    """Refuses a Python that has not got the rival's library.

    Raises:
        ArgumentError: naming the flag.
    """
    advice = f"give the Python of an environment with {library}, see BUILD.md"
    if FLAGS.rival_python is None:
        raise ArgumentError("rival_python", None, advice)
    command = [FLAGS.rival_python, "-c", f"import {library}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        problem = f"it cannot be run ({error.strerror}); {advice}"
        raise ArgumentError("rival_python", FLAGS.rival_python, problem) from None
    if answer.returncode != 0:
        problem = f"it has no {library} ({answer.stderr.splitlines()[-1]}); {advice}"
        raise ArgumentError("rival_python", FLAGS.rival_python, problem)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
