"""The figures of the whole, from what tools/benchmark_clusters.py measured."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmeta.evaluation.statistics import interval95

from .forms import FAMILIES, LEARNING_OF, LEARNINGS, PAPER_CLUSTERS, PAPER_TASKS, TARGET, TRAINED
from .paces import seconds_of_an_update

# By what the names of their idle shares end with.
_ON_TWO_RANKS = {"": "all", "_graph": "two_ranks", "_whole": "two_ranks_whole"}


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
    if "rivals" in known:
        summary["quality"] = {
            f"{budget:g}": {form: _at_budget(known, form, budget) for form in TRAINED}
            for budget in budgets(known)
        }
        summary["acceleration"] = {
            measure: {form: accelerations(known, form, measure) for form in TRAINED[1:]}
            for measure in MEASURES
        }
    published = {form: _published(known, form) for form in TRAINED}
    if any(published.values()):
        summary["published"] = {"seconds": published, "speedup": _sooner(published)}
    return summary


def budgets(known: Mapping[str, Any]) -> list[float]:
    """The budgets, in seconds of the baseline, to which there are trainings by all `LEARNINGS`."""
    found = [
        {float(name.split("_")[2]) for name in known if name.startswith(f"quality_{learning}_")}
        for learning in LEARNINGS
    ]
    return sorted(set.intersection(*found))


def trainings(known: Mapping[str, Any], form: str, budget: float) -> list[dict[str, Any]]:
    """What is known of a form's trainings to a budget, by seed, and the `seconds` it takes them."""
    mark = f"quality_{LEARNING_OF[form]}_{budget:g}_"
    found = [known[name] for name in sorted(known) if name.startswith(mark)]
    return [
        {
            "seconds": training["updates"] * seconds_of_an_update(known, "quality", form),
            **training,
        }
        for training in found
    ]


def _at_budget(known: Mapping[str, Any], form: str, budget: float) -> dict[str, Any]:
    found = trainings(known, form, budget)
    values: dict[str, Any] = {
        name: [quality(known, training) for training in found] for name, quality in MEASURES.items()
    }
    return {
        "rate": known.get(f"rate_{LEARNING_OF[form]}_{budget:g}"),
        "seconds": [training["seconds"] for training in found],
        "updates": [training["updates"] for training in found],
        **values,
    }


def accelerations(known: Mapping[str, Any], form: str, measure: str) -> dict[str, dict[str, Any]]:
    """How many times sooner a form has the quality that the baseline has after each budget.

    Between two budgets the quality is taken to change evenly with the logarithm of the time.

    Returns:
        By budget: `by_seed` the ratios, None where the form does not get there; their geometric
        `mean` and `ci95`, the factor by which the 95 % interval reaches up and down; and `at_least`
        on how many seeds the form's shortest training was there already.
    """
    quality = MEASURES[measure]

    def front(name: str, seed: int) -> list[tuple[float, float]]:
        found = [trainings(known, name, budget)[seed] for budget in budgets(known)]
        return [(training["seconds"], quality(known, training)) for training in found]

    counts = [len(trainings(known, name, b)) for name in TRAINED for b in budgets(known)]
    result = {}
    for place, budget in enumerate(budgets(known)):
        ratios_, at_least = [], 0
        for seed in range(min(counts)):
            seconds, reached_ = front("baseline", seed)[place]
            own = front(form, seed)
            time = seconds_to(own, reached_)
            at_least += time is not None and time == own[0][0]
            ratios_.append(None if time is None else seconds / time)
        result[f"{budget:g}"] = {"by_seed": ratios_, "at_least": at_least, **_of_ratios(ratios_)}
    return result


def seconds_to(front: Sequence[tuple[float, float]], quality: float) -> float | None:
    """When a front of (seconds, quality) first has a quality, the higher the better; or None."""
    before: tuple[float, float] | None = None
    for seconds, reached_ in front:
        if reached_ >= quality:
            if before is None:
                return seconds
            share = (quality - before[1]) / (reached_ - before[1])
            return before[0] * (seconds / before[0]) ** share
        before = (seconds, reached_)
    return None


def _of_ratios(found: Sequence[float | None]) -> dict[str, float | None]:
    known = [ratio for ratio in found if ratio is not None]
    if len(known) < len(found) or len(known) < 2:
        return {"mean": None, "ci95": None}
    logarithms = np.log(known)
    width = interval95(logarithms)
    return {"mean": float(np.exp(logarithms.mean())), "ci95": float(np.exp(width))}


def _published(known: Mapping[str, Any], form: str) -> list[float | None]:
    """The seconds after which a form held the accuracy, by seed."""
    mark = f"published_{LEARNING_OF[form]}_"
    found = []
    for training in (known[name] for name in sorted(known) if name.startswith(mark)):
        updates = reached(training["curve"], TARGET)
        pace = seconds_of_an_update(known, "published", form)
        found.append(None if updates is None else updates * pace)
    return found


def _sooner(seconds: Mapping[str, list[float | None]]) -> float | None:
    """How many times sooner than the baseline all together is there: the median of seeds."""
    pairs = list(zip(seconds["baseline"], seconds["all"], strict=False))
    found = [a / b for a, b in pairs if a is not None and b]
    return statistics.median(found) if len(found) == len(pairs) > 0 else None


def reached(curve: Sequence[Any], target: float) -> int | None:
    """The update from which on the accuracy was held for the rest of the training, or None."""
    since = None
    for updates, accuracy in curve:
        if accuracy < target:
            since = None
        elif since is None:
            since = updates
    return since


def mean_score(
    training: Mapping[str, Any], rivals: Mapping[str, Any], families: Sequence[str] | None = None
) -> float:
    """The mean of log10 of the final losses, less those of the best hand-designed optimizer.

    Args:
        training: as the job's `train` gives it.
        rivals: as the job's `rivals` gives it.
        families: names; each counts once. By default softmax regressions.
    """
    names = families or [name for name in training["log10"] if name.startswith("softmax")]
    return sum(training["log10"][name] - rivals[name] for name in names) / len(names)


def mean_accuracy(training: Mapping[str, Any]) -> float:
    """On held-out data of softmax regressions, in per cent; each family counts once."""
    found = [a for name, a in training["accuracy"].items() if name.startswith("softmax")]
    return sum(found) / len(found)


# What a trained rule is worth, the higher the better: on softmax regressions of the four published
# sizes their accuracy, and how far below the best hand-designed optimizer's their losses are; and
# that of one family of each of the five types.
MEASURES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], float]] = {
    "accuracy": lambda known, training: mean_accuracy(training),
    "softmax_score": lambda known, training: -mean_score(training, known["rivals"]),
    "types_score": lambda known, training: -mean_score(training, known["rivals"], FAMILIES),
}


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
