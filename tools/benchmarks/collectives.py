"""What ranks cost: measures collectives on a few ranks of this machine, and predicts many."""

import os
import statistics
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .against_rivals import WARM_UP
from .asking import Worker
from .comparisons import COMPARISONS, Load
from .cost_model import Collective, bytes_of_gather, bytes_of_sum, fit, predict
from .turns import orders

RANKS = (2, 3, 4)
_PREDICTED = (1, 2, 4, 10, 100, 1000)
_CALLS = 20  # of a collective, for each step of a turn

# The Omniglot network's gradients, and tasks of 5 ways with 1 query each, on every rank.
_NUMBERS, _TASKS, _QUERIES, _OUTPUTS = 112_000, 32, 5, 5
_SUMS = (1_000, 30_000, _NUMBERS, 500_000, 2_000_000)  # numbers
_GATHERS = (_TASKS, 1_000, 8_000, 32_000)  # tasks of a rank


def collectives(folder: Path, load: Load, blocks: int, steps: int) -> dict[str, Any]:
    """Seconds of a sum and of a gather by ranks and bytes, lines through them, and a table.

    Args:
        folder: An empty folder for files.
        load: Loads image classes.
        blocks: How often one rank, two, three and four take turns.
        steps: Meta-steps of a turn of one rank; of a collective there are 20 times as many.
    """
    setting = asdict(COMPARISONS["omniglot_5w1s"].setting(folder, load))
    found: dict[Any, list[float]] = defaultdict(list)
    compute: list[float] = []
    others: list[float] = []
    for order in orders((1, *RANKS), blocks):
        others.append(_busy_cores())
        for ranks in order:
            if ranks == 1:
                compute.append(_compute(setting, steps))
            else:
                for name, taken in _turn(ranks, _CALLS * steps).items():
                    found[name].append(taken)
        print(f"block {len(others)}: before it {others[-1]:.1f} cores were busy", flush=True)
    seconds = {name: statistics.median(times) for name, times in found.items()}
    of_sum, of_gather = (_fitted(seconds, kind) for kind in ("sum", "gather"))
    size = (4 * _NUMBERS, _TASKS, _QUERIES, _OUTPUTS)
    table = [predict(statistics.median(compute), of_sum, of_gather, n, *size) for n in _PREDICTED]
    _show(table)
    return {
        # By other programs, before each block.
        "busy_cores": others,
        "compute_milliseconds": 1e3 * statistics.median(compute),
        "milliseconds": {
            f"{kind}_{ranks}_{number}": 1e3 * s for (kind, ranks, number), s in seconds.items()
        },
        "sum": of_sum._asdict(),
        "gather": of_gather._asdict(),
        "table": table,
    }


def _busy_cores() -> float:
    """How many cores worked during a second, in which nothing of ours runs."""

    def jiffies() -> tuple[int, int]:
        user, nice, system, idle, wait, *rest = map(
            int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        )
        busy = user + nice + system + sum(rest[:3])
        return busy, busy + idle + wait

    before = jiffies()
    time.sleep(1)
    busy, total = (b - a for a, b in zip(before, jiffies(), strict=True))
    return (os.cpu_count() or 1) * busy / total


def _compute(setting: dict[str, Any], steps: int) -> float:
    """Seconds of a meta-step on one rank that has one core."""
    with Worker("jobs.maml", core=0) as worker:
        worker.call("build", **setting)
        worker.call("train", steps=WARM_UP)
        return worker.call("train", steps=steps)["seconds"]


def _turn(ranks: int, calls: int) -> dict[Any, float]:
    """Seconds by kind, ranks, and numbers or tasks."""
    found = {}
    with Worker("jobs.collectives", ranks=ranks) as worker:
        worker.call("build")
        for numbers in _SUMS:
            answer = worker.call("sum", numbers=numbers, calls=calls)
            found["sum", ranks, numbers] = answer["seconds"]
        of_task = {"queries": _QUERIES, "outputs": _OUTPUTS}
        for tasks in _GATHERS:
            answer = worker.call("gather", tasks=tasks, calls=calls, **of_task)
            found["gather", ranks, tasks] = answer["seconds"]
    return found


def _fitted(seconds: dict[Any, float], kind: str) -> Collective:
    lines = {}
    for ranks in RANKS:
        if kind == "sum":
            sizes = {number: bytes_of_sum(ranks, 4 * number) for number in _SUMS}
        else:
            sizes = {tasks: bytes_of_gather(ranks, tasks, _QUERIES, _OUTPUTS) for tasks in _GATHERS}
        taken = [seconds[kind, ranks, number] for number in sizes]
        lines[ranks] = fit(list(sizes.values()), taken)
    # Of two ranks, each of which has a core where there are two.
    return Collective({n: line.latency for n, line in lines.items()}, lines[2].bandwidth)


def _show(table: list[dict[str, Any]]) -> None:
    """Prints milliseconds; where two numbers stand, the latency grows as log2 N or as N."""
    names = ["sum", "gather", "step", "step_with_gather", "end_of_epoch"]
    print("ranks | sum kB | gather kB | " + " | ".join(f"{name} ms" for name in names))
    for row in table:
        sizes = [f"{row[name] / 1e3:.0f}" for name in ("sum_bytes", "gather_bytes")]
        times = [_both(row["log"][name], row["linear"][name]) for name in names]
        print(" | ".join([str(row["ranks"]), *sizes, *times]), flush=True)


def _both(log: float, linear: float) -> str:
    first, second = f"{log:.1f}", f"{linear:.1f}"
    return first if first == second else f"{first} to {second}"
