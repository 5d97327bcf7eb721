"""A learned update rule beside tuned hand-designed ones, on problems that none of them has seen."""

import dataclasses
from typing import Any

import numpy as np

from tfmeta.evaluation.loss_curves import Curves, LossCurves
from tfmeta.evaluation.statistics import interval95
from tfmeta.evaluation.tuning import HAND_DESIGNED, Found, log10_loss, tune
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import UpdateRule

_POINTS = 200  # of a curve: more would not show


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How several rules minimized the same problems of one family.

    Attributes:
        family: its name.
        metric: the name of its metric, or None.
        runs: what each rule did, by name; that of `"learned"` comes first.
        tuned: what was found for the hand-designed ones, by name.
    """

    family: str
    metric: str | None
    runs: dict[str, Curves]
    tuned: dict[str, Found]

    def results(self) -> dict[str, dict[str, Any]]:
        """How the problems ended, by name of the rule; tools/evaluate_optimizer.py says the keys.

        A number that a problem which diverged leaves undefined is None.
        """
        results = {name: self._ends(run) for name, run in self.runs.items()}
        for name, found in self.tuned.items():
            results[name] |= {"numbers": found.numbers, "at_end": found.at_end}
        ends = {name: log10_loss(run.losses[:, -1]) for name, run in self.runs.items()}
        best = min(self.tuned, key=lambda name: ends[name].mean())
        results["learned"] |= {
            "best_hand_made": best,
            **_mean("paired_log10", ends["learned"] - ends[best], "paired_ci95"),
        }
        return results

    def _ends(self, run: Curves) -> dict[str, Any]:
        losses = run.losses[:, -1]
        finite = np.isfinite(losses)
        ends = {
            **_mean("final_loss", losses, "ci95"),
            "median": float(np.median(losses)) if finite.all() else None,
            **_mean("mean_log10", log10_loss(losses), "mean_log10_ci95"),
            "diverged": int(np.sum(~finite)),
        }
        if self.metric:
            ends |= _mean("held_out_loss", run.held_out[:, -1], "held_out_loss_ci95")
            ends |= _mean(self.metric, 100 * run.scores[:, -1], f"{self.metric}_ci95")
        return ends

    def sentence(self) -> str:
        """The result for a person to read."""
        learned = self.results()["learned"]
        if learned["diverged"]:
            return f"{self.family}: the learned rule diverged on {learned['diverged']} problems"
        return (
            f"{self.family}: log10 of the loss {learned['mean_log10']:.3f}, less that of "
            f"{learned['best_hand_made']} {learned['paired_log10']:.3f} +- "
            f"{learned['paired_ci95']:.3f} (95 % interval)"
        )


def _mean(name: str, values: np.ndarray, width: str) -> dict[str, float | None]:
    if not np.isfinite(values).all():
        return {name: None, width: None}
    return {name: float(values.mean()), width: float(interval95(values))}


def compare(
    rule: UpdateRule,
    training: ProblemFamily,
    test: ProblemFamily,
    steps: int,
    tuning_problems: int,
    test_problems: int,
) -> Comparison:
    """Tunes every hand-designed rule, then lets it and the learned one minimize unseen problems.

    Every rank calls it, with a share of the problems, and gets the whole.

    Args:
        rule: the learned one.
        training: the family to tune on.
        test: the same family with another seed.
        steps: how many steps a problem is given.
        tuning_problems: how many to tune on, of all ranks together.
        test_problems: how many to compare on, likewise.

    Raises:
        ArgumentError: fewer problems than ranks.
    """
    tuned = {name: tune(name, training, steps, tuning_problems) for name in HAND_DESIGNED}
    rules = {"learned": rule}
    for name, (kind, _) in HAND_DESIGNED.items():
        rules[name] = kind(**tuned[name].numbers)
    every = max(1, steps // _POINTS)
    runs = {
        name: LossCurves(rule, test, steps, every)(test_problems) for name, rule in rules.items()
    }
    return Comparison(test.name, test.metric, runs, tuned)
