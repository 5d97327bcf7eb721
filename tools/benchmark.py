"""Measures tfmeta beside its rivals, in turns, after checking that both do the same work.

    python tools/benchmark.py --workload=omniglot_5w1s --rival_python=PATH
    python tools/benchmark.py --workload=ranks

The workloads omniglot_5w1s and omniglot_5w1s_5steps are one second-order MAML meta-step (32 tasks,
5 ways, 1 shot, 1 query, and 1 or 5 inner steps) against learn2learn's MAML on learn2learn's
network; BUILD.md says how to install it. Each side has a process of its own, samples its own
episodes within the time, and waits while the other one works. The workload ranks is the same
meta-step on two ranks, one core each, against one rank on one core.

Only ratios hold on a machine with other work. The last line on standard output is one JSON object.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tasks.load import load_image_classes
from tfmeta.tools import program
from tfmeta.tools.rivals.worker import Worker, environment

FLAGS = flags.FLAGS

INNER_STEPS = {"omniglot_5w1s": 1, "omniglot_5w1s_5steps": 5, "ranks": 1}
WARM_UP = 3
SAME_GRADIENT = 1e-4

flags.DEFINE_enum("workload", "omniglot_5w1s", list(INNER_STEPS), "What to measure.")
flags.DEFINE_string(
    "rival_python", None, "The Python of an environment with learn2learn, see BUILD.md."
)
flags.DEFINE_string("dataset", "glyphs", "Image classes: as the flag of tools/train.py.")
flags.DEFINE_string("data_dir", None, "Folder of prepared TensorFlow Datasets, for tfds:NAME.")
program.define_count("blocks", 7, 1, "How often the two sides take turns.")
program.define_count("steps", 10, 1, "Meta-steps of a turn.")


def main() -> None:
    if FLAGS.workload != "ranks":
        _check_rival()
    with tempfile.TemporaryDirectory() as folder:
        measure = _two_ranks if FLAGS.workload == "ranks" else _learn2learn
        results = measure(Path(folder))
    print(json.dumps({"workload": FLAGS.workload, **results}), flush=True)


def _learn2learn(folder: Path) -> dict[str, Any]:
    setting = _setting(folder)
    error = _gradient_error(folder, {**setting, "dtype": "float64"})
    print(f"the meta-gradients differ by {error:.1e} of the largest element", flush=True)
    if not error <= SAME_GRADIENT:
        raise RuntimeError(f"above {SAME_GRADIENT:.0e}: not the same work, so it is not timed")
    threads = _fastest_threads(setting)
    with _ours() as ours, _rival() as rival:
        versions = {
            **ours.call("build", **setting)["versions"],
            **rival.call("build", threads=threads, **setting)["versions"],
        }
        for side in (ours, rival):
            side.call("train", steps=WARM_UP)
        results = take_turns(
            {
                "tfmeta": lambda: ours.call("train", steps=FLAGS.steps)["seconds"],
                "learn2learn": lambda: rival.call("train", steps=FLAGS.steps)["seconds"],
            },
            FLAGS.blocks,
        )
        memory = {"tfmeta": ours.call("memory"), "learn2learn": rival.call("memory")}
    return {
        **results,
        "gradient_error": error,
        "peak_memory_mb": {name: used["peak_mb"] for name, used in memory.items()},
        # What the libraries take before there is any work; the peak includes it.
        "loaded_memory_mb": {name: used["loaded_mb"] for name, used in memory.items()},
        "rival_threads": threads,
        "versions": versions,
    }


def _gradient_error(folder: Path, setting: Mapping[str, Any]) -> float:
    """The largest difference of the two meta-gradients over the largest element of the rival's.

    The check runs in float64: in float32 an activation within rounding of ReLU's kink, of which
    a meta-batch of millions of activations has a few, falls on either side of it, and the inner
    gradient with it.
    """
    files = {name: str(folder / f"{name}.npz") for name in ("weights", "tasks")}
    gradients = {}
    with _ours() as ours, _rival() as rival:
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


def _fastest_threads(setting: Mapping[str, Any]) -> int:
    """How many threads make the rival fastest."""
    seconds = {}
    with _rival() as rival:
        for threads in {1, len(os.sched_getaffinity(0))}:
            rival.call("build", threads=threads, **setting)
            rival.call("train", steps=WARM_UP)
            seconds[threads] = rival.call("train", steps=WARM_UP)["seconds"]
    return min(seconds, key=lambda threads: seconds[threads])


def _two_ranks(folder: Path) -> dict[str, Any]:
    """One meta-batch on two ranks against one; each turn is a job of its own."""
    setting = _setting(folder)
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


def take_turns(sides: Mapping[str, Callable[[], float]], blocks: int) -> dict[str, Any]:
    """Lets two sides take turns, each first in every other block.

    Args:
        sides: what measures ours, then the rival, by name: seconds of a meta-step.
        blocks: how many turns each side has.

    Returns:
        `ratios`: the median over the blocks of our time over the rival's in the same block;
        `spread`: the smallest and the largest; `milliseconds`: the median of each side.
    """
    ours, rival = sides
    seconds: dict[str, list[float]] = {ours: [], rival: []}
    for block in range(blocks):
        for name in (ours, rival) if block % 2 == 0 else (rival, ours):
            seconds[name].append(sides[name]())
        times = ", ".join(f"{name} {1e3 * taken[-1]:.0f} ms" for name, taken in seconds.items())
        print(f"block {block + 1}: {times}", flush=True)
    ratios = [a / b for a, b in zip(seconds[ours], seconds[rival], strict=True)]
    return {
        "ratios": {rival: statistics.median(ratios)},
        "spread": {rival: [min(ratios), max(ratios)]},
        "milliseconds": {name: 1e3 * statistics.median(taken) for name, taken in seconds.items()},
    }


def _setting(folder: Path) -> dict[str, Any]:
    """What both sides are built with; writes the images for them into the folder."""
    classes = load_image_classes(FLAGS.dataset, 28, 1, FLAGS.data_dir).with_rotations()
    files = {name: folder / f"{name}.npy" for name in ("images", "counts")}
    for name, path in files.items():
        np.save(path, getattr(classes, name))
    return {
        **{name: str(path) for name, path in files.items()},
        "ways": 5,
        "shots": 1,
        "queries": 1,
        "meta_batch": 32,
        "inner_learning_rate": 0.4,
        "inner_steps": INNER_STEPS[FLAGS.workload],
        "learning_rate": 1e-3,
        "seed": 0,
        "dtype": "float32",
    }


def _ours() -> Worker:
    return Worker(sys.executable, "tfmeta_maml")


def _rival() -> Worker:
    return Worker(FLAGS.rival_python, "learn2learn_maml")


def _check_rival() -> None:
    """Refuses a Python that has no learn2learn.

    Raises:
        ArgumentError: naming the flag.
    """
    advice = "give the Python of an environment with learn2learn, see BUILD.md"
    if FLAGS.rival_python is None:
        raise ArgumentError("rival_python", None, advice)
    command = [FLAGS.rival_python, "-c", "import learn2learn"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        problem = f"it cannot be run ({error.strerror}); {advice}"
        raise ArgumentError("rival_python", FLAGS.rival_python, problem) from None
    if answer.returncode != 0:
        problem = f"it has no learn2learn ({answer.stderr.splitlines()[-1]}); {advice}"
        raise ArgumentError("rival_python", FLAGS.rival_python, problem)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
