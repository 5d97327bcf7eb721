"""tfmeta beside a rival: first that both compute the same, then in turns."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tfmeta.errors import ArgumentError

from .asking import Worker
from .comparisons import Comparison, Load
from .turns import take_turns

WARM_UP = 3
SAME_GRADIENT = 1e-4


def compare(
    comparison: Comparison,
    rival_python: str | None,
    folder: Path,
    load: Load,
    blocks: int,
    steps: int,
) -> dict[str, Any]:
    """Checks and measures one comparison.

    Args:
        comparison: Who is compared at what.
        rival_python: The Python of an environment with the rival's library.
        folder: An empty folder for files.
        load: Loads image classes.
        blocks: How often the two take turns.
        steps: Steps of a turn.

    Returns:
        What `take_turns` returns, with the difference of the gradients, and memory, threads and
        versions of both.

    Raises:
        ArgumentError: `rival_python` has not got the library.
        RuntimeError: The two compute different meta-gradients.
    """
    python = _checked(rival_python, comparison.library)
    if comparison.one_core:
        as_optimizers_are_trained()
    setting = asdict(comparison.setting(folder, load))
    error = _gradient_error(comparison, python, folder, {**setting, "dtype": "float64"})
    print(f"the meta-gradients differ by {error:.1e} of the largest element", flush=True)
    if not error <= SAME_GRADIENT:
        raise RuntimeError(f"above {SAME_GRADIENT:.0e}: not the same work, so it is not timed")
    threads = _fastest_threads(comparison, python, setting)
    with Worker(comparison.ours) as ours, Worker(comparison.rival, python) as rival:
        sides = {"tfmeta": ours, comparison.library: rival}
        versions = {
            **ours.call("build", **setting)["versions"],
            **rival.call("build", threads=threads, **setting)["versions"],
        }
        turns = {name: turn(side, steps) for name, side in sides.items()}
        results = take_turns(turns, blocks)
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


def turn(side: Worker, steps: int) -> Callable[[], float]:
    """Warms a worker up; returns what lets it have a turn and gives the seconds of a step."""
    side.call("train", steps=WARM_UP)
    return lambda: side.call("train", steps=steps)["seconds"]


def as_optimizers_are_trained() -> None:
    """Keeps the processes that are started from now on to one core, and to oneDNN.

    That is how tools/train_optimizer.py has TensorFlow compute; PyTorch has oneDNN anyway.
    """
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _gradient_error(
    comparison: Comparison, python: str, folder: Path, setting: Mapping[str, Any]
) -> float:
    """The largest difference of the two meta-gradients over the largest element of the rival's.

    The check runs in float64: in float32 an activation within rounding of ReLU's kink, of which
    a meta-batch of millions of activations has a few, falls on either side of it, and the inner
    gradient with it.
    """
    ours, theirs = (
        gradients for _, gradients in both_gradients(comparison, python, folder, setting)
    )
    pairs = list(zip(ours, theirs, strict=True))
    return float(
        max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(b).max() for _, b in pairs)
    )


def both_gradients(
    comparison: Comparison, python: str, folder: Path, setting: Mapping[str, Any]
) -> list[tuple[float, list[np.ndarray]]]:
    """Loss and meta-gradient of our side and of the rival's, at our weights and on our tasks."""
    files = {name: str(folder / f"{name}.npz") for name in ("weights", "tasks")}
    found = []
    with Worker(comparison.ours) as ours, Worker(comparison.rival, python) as rival:
        for side, more in ((ours, {}), (rival, {"threads": 1})):
            side.call("build", **setting, **more)
            path = str(folder / f"{side.module}.npz")
            loss = side.call("gradient", gradient=path, **files)["loss"]
            with np.load(path) as arrays:
                found.append((loss, [arrays[name] for name in arrays.files]))
    return found


def _fastest_threads(comparison: Comparison, python: str, setting: Mapping[str, Any]) -> int:
    """How many threads make the rival fastest."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        return 1
    seconds = {}
    with Worker(comparison.rival, python) as rival:
        for threads in (1, cores):
            rival.call("build", threads=threads, **setting)
            seconds[threads] = turn(rival, WARM_UP)()
    return min(seconds, key=lambda threads: seconds[threads])


def _checked(python: str | None, library: str) -> str:
    """Returns a Python that has the rival's library, or refuses it."""
    advice = f"give the Python of an environment with {library}, see BUILD.md"
    if python is None:
        raise ArgumentError("rival_python", None, advice)
    try:
        answer = subprocess.run([python, "-c", f"import {library}"], capture_output=True, text=True)
    except OSError as error:
        problem = f"it cannot be run ({error.strerror}); {advice}"
        raise ArgumentError("rival_python", python, problem) from None
    if answer.returncode != 0:
        problem = f"it has no {library} ({answer.stderr.splitlines()[-1]}); {advice}"
        raise ArgumentError("rival_python", python, problem)
    return python
