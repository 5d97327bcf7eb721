"""A learned update rule beside tuned hand-designed ones, on problems that none of them has seen."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfmeta.evaluation.hand_designed import Rivals
from tfmeta.evaluation.loss_curves import Curves, LossCurves
from tfmeta.evaluation.statistics import interval95
from tfmeta.evaluation.tuning import Found, log10_loss
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import UpdateRule

_POINTS = 200  # of a curve: more would not show


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How several optimizers minimized the same problems of one family.

    Attributes:
        family: its name.
        type: of its problems.
        metric: the name of its metric, or None.
        runs: what each optimizer did, by name; that of `"learned"` comes first.
        tuned: what was found for the hand-designed ones, by name.
    """

    family: str
    type: str
    metric: str | None
    runs: dict[str, Curves]
    tuned: dict[str, Found]

    @property
    def best(self) -> str:
        """The hand-designed optimizer with the best score on the problems it was tuned on."""
        return self.ranked()[0]

    def ranked(self) -> list[str]:
        """The hand-designed optimizers, that with the best score in tuning first."""
        return sorted(self.tuned, key=lambda name: self.tuned[name].score)

    def differences(self) -> np.ndarray:
        """log10 of the loss of the learned rule less that of the best hand-designed optimizer.

        One for each problem, but for those on which the hand-designed one diverged: to leave these
        out is in its favor. Where the learned rule diverged it is inf.
        """
        learned, best = (self._log10(name) for name in ("learned", self.best))
        return (learned - np.where(np.isfinite(best), best, 0.0))[np.isfinite(best)]

    def results(self) -> dict[str, dict[str, Any]]:
        """How the problems ended, by name of the optimizer.

        The documentation of tools/evaluate_optimizer.py says what the keys are.

        A number that a problem which diverged leaves undefined is None.
        """
        results = {name: self._ends(run) for name, run in self.runs.items()}
        for name, found in self.tuned.items():
            results[name] |= {"numbers": found.numbers, "at_end": found.at_end}
            results[name]["tuning_log10"] = found.score if np.isfinite(found.score) else None
        results["learned"] |= {"best_hand_made": self.best, **paired(self.differences())}
        return results

    def sentence(self) -> str:
        """The result for a person to read."""
        return f"{self.family}: {_said(self.differences())} against {self.best}"

    def _log10(self, name: str) -> np.ndarray:
        return log10_loss(self.runs[name].losses[:, -1])

    def _ends(self, run: Curves) -> dict[str, Any]:
        losses = run.losses[:, -1]
        finite = np.isfinite(losses)
        ends = {
            **mean_and_width("final_loss", losses, "ci95"),
            "median": float(np.median(losses)) if finite.all() else None,
            **mean_and_width("mean_log10", log10_loss(losses), "mean_log10_ci95"),
            "diverged": int(np.sum(~finite)),
        }
        if self.metric:
            ends |= mean_and_width("held_out_loss", run.held_out[:, -1], "held_out_loss_ci95")
            ends |= mean_and_width(self.metric, 100 * run.scores[:, -1], f"{self.metric}_ci95")
        return ends


def of_types(comparisons: Iterable[Comparison]) -> dict[str, dict[str, Any]]:
    """How the problems of each type ended, over all its families, in the keys of `paired`."""
    return {kind: paired(values) for kind, values in _by_type(comparisons).items()}


def sentences_of_types(comparisons: Iterable[Comparison]) -> list[str]:
    """The result of each type for a person to read."""
    return [f"all {kind}: {_said(values)}" for kind, values in _by_type(comparisons).items()]


def paired(differences: np.ndarray) -> dict[str, Any]:
    """What differences of log10 of the loss, problem by problem, say of the learned rule.

    Returns:
        `paired_log10`, their mean, and `paired_ci95`, its 95 % interval, see `mean_and_width`;
        `paired_problems`, how many there are; `verdict`: `"win"` if the interval lies below zero,
        `"loss"` if it lies above or the learned rule diverged on a problem, else `"neither"`.
    """
    found = mean_and_width("paired_log10", differences, "paired_ci95")
    mean, width = found.values()
    if not np.isfinite(differences).all():
        verdict = "loss"
    elif mean is None or width is None:
        verdict = "neither"
    else:
        verdict = "win" if mean + width < 0 else "loss" if mean - width > 0 else "neither"
    return {**found, "paired_problems": len(differences), "verdict": verdict}


def _said(differences: np.ndarray) -> str:
    found = paired(differences)
    mean, width = found["paired_log10"], found["paired_ci95"]
    diverged = int(np.sum(~np.isfinite(differences)))
    if diverged:
        return f"{found['verdict']}, the learned rule diverged on {diverged} problems"
    if mean is None or width is None:
        return f"{found['verdict']}, the other diverged on all problems but {len(differences)}"
    return f"{found['verdict']}, {mean:.3f} +- {width:.3f} in log10 of the loss (95 % interval)"


def _by_type(comparisons: Iterable[Comparison]) -> dict[str, np.ndarray]:
    differences: dict[str, list[np.ndarray]] = {}
    for comparison in comparisons:
        differences.setdefault(comparison.type, []).append(comparison.differences())
    return {kind: np.concatenate(values) for kind, values in differences.items()}


def mean_and_width(name: str, values: np.ndarray, width: str) -> dict[str, float | None]:
    """A mean and half the width of its 95 % interval, by their names.

    Both are None if a value is not finite or there is none; the width of a single one is None.
    """
    if not len(values) or not np.isfinite(values).all():
        return {name: None, width: None}
    return {
        name: float(values.mean()),
        width: float(interval95(values)) if len(values) > 1 else None,
    }


def compare(
    rule: UpdateRule, problems: ProblemFamily, steps: int, count: int, tuned: dict[str, Found]
) -> Comparison:
    """Lets a learned rule and tuned hand-designed optimizers minimize unseen problems.

    Every rank calls it, with a share of the problems, and gets the whole.

    Args:
        rule: the learned one.
        problems: a family with another seed than that of the tuning.
        steps: how many steps a problem is given.
        count: how many problems, of all ranks together.
        tuned: what `tune` found for the same family and number of steps.

    Raises:
        ArgumentError: fewer problems than ranks.
    """
    every = max(1, steps // _POINTS)
    learned = LossCurves(rule, problems, steps, every)
    rivals = Rivals(problems, steps, count, every)
    runs = {"learned": learned(count)}
    for name, measures in rivals.once({n: found.numbers for n, found in tuned.items()}).items():
        runs[name] = Curves(learned.steps, *np.moveaxis(measures, -1, 0))
    return Comparison(problems.name, problems.type, problems.metric, runs, tuned)
