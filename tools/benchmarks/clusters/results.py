"""The figures of the whole, from what tools/benchmark_clusters.py measured."""

import statistics
from typing import Any

from tfmeta.evaluation.statistics import first_lasting

from .forms import FAMILIES, PAPER_CLUSTERS, PAPER_TASKS, TARGET, TRAINED

# By what the names of their idle shares end with.
_ON_TWO_RANKS = {"": "all", "_graph": "two_ranks", "_whole": "two_ranks_whole"}

_GAIN = 0.9  # of tuned Adam's


def targets(known: dict[str, Any]) -> dict[str, float]:
    """The accuracies to reach, in per cent, by name."""
    untrained, adam = known["accuracies"]["untrained"], known["accuracies"]["adam"]
    return {"65": TARGET, "adam": untrained + _GAIN * (adam - untrained)}


def summarized(known: dict[str, Any]) -> dict[str, Any]:
    """The figures of the whole, from what was measured; None for what was not."""
    summary: dict[str, Any] = {"clusters": {}, "tasks": {}}
    for kind, numbers in (("clusters", PAPER_CLUSTERS), ("tasks", PAPER_TASKS)):
        for number in numbers:
            cell = known.get(f"{kind}_{number}")
            if cell:
                summary[kind][number] = {
                    form: _ratio(cell, "baseline", form) for form in cell if form != "baseline"
                }
                for form in _ON_TWO_RANKS.values():
                    summary[kind][number][form]["idle_share"] = _idle(cell[form], "busy")
                    summary[kind][number][form]["possible"] = _idle(cell[form], "possible")
    whole = known.get(f"clusters_{len(FAMILIES)}")
    if whole:
        summary["speedup_graph"] = _ratio(whole, "baseline", "all")["median"]
        summary["speedup_compiled"] = _ratio(whole, "compiled", "all")["median"]
        summary["two_ranks"] = _ratio(whole, "all_on_one_rank", "all")["median"]
        summary["two_ranks_graph"] = _ratio(whole, "one_rank", "two_ranks")["median"]
        for name, form in _ON_TWO_RANKS.items():
            summary[f"idle_share{name}"] = _idle(whole[form], "busy")
            summary[f"idle_share{name}_possible"] = _idle(whole[form], "possible")
    if "accuracies" in known:
        summary["rates"] = {form: known.get(f"rate_{form}") for form in TRAINED}
        for name, target in targets(known).items():
            summary[f"to_{name}"] = {"target": target, **_to_accuracy(known, target)}
        summary["speedup_to_accuracy"] = summary["to_65"]["speedup"]
    return summary


def _to_accuracy(known: dict[str, Any], target: float) -> dict[str, Any]:
    """Seconds of training of each form, by seed; and how much sooner the best form is there."""
    mark = "training_all_"
    seeds = [name.removeprefix(mark) for name in sorted(known) if name.startswith(mark)]
    seconds: dict[str, list[float | None]] = {
        form: [
            reached(known[f"training_{form}_{seed}"]["curve"], target)
            for seed in seeds
            if f"training_{form}_{seed}" in known
        ]
        for form in TRAINED
    }

    def speedup(slow: str, fast: str) -> float | None:
        pairs = list(zip(seconds[slow], seconds[fast], strict=False))
        ratios = [a / b for a, b in pairs if a and b]
        return statistics.median(ratios) if len(ratios) == len(pairs) > 0 else None

    return {
        "seconds": seconds,
        "speedup": speedup("baseline", "all"),
        "speedup_compiled": speedup("compiled", "all"),
    }


def reached(curve: list[Any], target: float) -> float | None:
    """The seconds at the first of three evaluations in a row that have the accuracy, or None."""
    place = first_lasting([accuracy for _, _, accuracy in curve], target)
    return None if place is None else curve[place][0]


def ratios(cell: dict[str, Any], slow: str, fast: str) -> list[float]:
    """How many times as fast one form is as another, in each block."""
    pairs = zip(cell[slow]["seconds"], cell[fast]["seconds"], strict=True)
    return [a / b for a, b in pairs]


def _ratio(cell: dict[str, Any], slow: str, fast: str) -> dict[str, float]:
    """Median and range of `ratios`."""
    by_block = ratios(cell, slow, fast)
    return {
        "median": statistics.median(by_block),
        "least": min(by_block),
        "most": max(by_block),
    }


def _idle(form: dict[str, Any], times: str) -> float:
    """The mean share of a meta-iteration in which a rank waits for the other: median of blocks.

    Args:
        form: what was measured.
        times: of the ranks, `busy` or `possible`.
    """
    return statistics.median(1 - sum(ranks) / (len(ranks) * max(ranks)) for ranks in form[times])
