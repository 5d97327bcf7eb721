"""tfmeta beside itself: on two ranks and on one, and the forms of an unroll."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .against_rivals import WARM_UP, as_optimizers_are_trained, turn
from .asking import Worker
from .comparisons import COMPARISONS, Load
from .turns import take_turns

# A family of each type of problem; of softmax regression a small and a large one.
FAMILIES = (
    "quadratic_normal_20",
    "bowl_5",
    "rosenbrock",
    "softmax_regression_10",
    "softmax_regression_100",
    "fully_connected_8_8_5",
)
_FORMS = {
    "xla": {"cell": "gru", "vectorized": True, "xla": True},
    "stacked": {"cell": "gru", "vectorized": True, "xla": False},
    "one_by_one": {"cell": "gru", "vectorized": False, "xla": False},
    "lstm_cells": {"cell": "lstm", "vectorized": True, "xla": True},
}


def two_ranks(folder: Path, load: Load, blocks: int, steps: int) -> dict[str, Any]:
    """One meta-batch on two ranks against one, a core each.

    Each turn is a job of its own: ranks that wait look for work every few milliseconds.

    Args:
        folder: An empty folder for files.
        load: Loads image classes.
        blocks: How often the two take turns.
        steps: Meta-steps of a turn.
    """
    setting = asdict(COMPARISONS["omniglot_5w1s"].setting(folder, load))
    peaks: dict[str, float] = {}

    def job(name: str, ranks: int) -> Callable[[], float]:
        def measure() -> float:
            with Worker("jobs.maml", ranks=ranks, core=0 if ranks == 1 else None) as worker:
                worker.call("build", **setting)
                worker.call("train", steps=WARM_UP)
                seconds = worker.call("train", steps=steps)["seconds"]
                peaks[name] = max(worker.call("memory")["peak_mb"], peaks.get(name, 0.0))
            return seconds

        return measure

    results = take_turns({"two_ranks": job("two_ranks", 2), "one_rank": job("one_rank", 1)}, blocks)
    # Of rank 0, where there are two.
    return {**results, "peak_memory_mb": peaks}


def hierarchical_rnn(blocks: int, steps: int) -> dict[str, Any]:
    """Seconds of a step of one of 16 problems, by family and form.

    Args:
        blocks: How often the forms take turns.
        steps: Unrolls of a turn.
    """
    as_optimizers_are_trained()
    results = {}
    with contextlib.ExitStack() as stack:
        workers = {form: stack.enter_context(Worker("jobs.hierarchical_rnn")) for form in _FORMS}
        for family in FAMILIES:
            print(family, flush=True)
            for form, worker in workers.items():
                worker.call("build", family=family, meta_batch=16, unroll=20, **_FORMS[form])
            turns = {form: turn(worker, steps) for form, worker in workers.items()}
            results[family] = take_turns(turns, blocks)
    return {"families": results}
