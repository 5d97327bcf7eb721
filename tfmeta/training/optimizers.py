"""The training of an update rule on families of optimization problems."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfmeta import distributed
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.evaluation.statistics import first_lasting, interval95
from tfmeta.evaluation.units import in_unit, written
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems.base import ProblemFamily
from tfmeta.scheduling.truncation import Lengths
from tfmeta.training.loop import Trainer


class OptimizerTrainer(Trainer):
    """A step is a meta-iteration: problems trained from the start, by truncated unrolls.

    Args:
        learner: compiled.
        trainings: of that learner. One is drawn at random for each meta-iteration: one for each
            family in plain training, a single one for all families in clusters.
        validation: families of unseen problems, to choose the best parameters by.
        lengths: of the unrolls, by the number of the meta-iteration.
        meta_batch: problems of a meta-iteration, of all ranks together.
        validation_problems: of each family, in a validation.
        validation_steps: steps of their training.
        by_accuracy: call those parameters the best whose problems end with the highest accuracy,
            rather than the lowest log ratio.
        seed: of the draw of trainings.
        cluster_anew: puts the families into clusters anew.
        refresh: meta-iterations after which that is done; None for never.
    """

    def __init__(
        self,
        learner: OptimizerLearner,
        trainings: Sequence[TruncatedTraining],
        validation: Sequence[ProblemFamily],
        lengths: Callable[[int], Lengths],
        meta_batch: int,
        validation_problems: int,
        validation_steps: int,
        by_accuracy: bool = False,
        seed: int = 0,
        cluster_anew: Callable[[], None] | None = None,
        refresh: int | None = None,
    ):
        self.learner = learner
        self.trainings = list(trainings)
        self.lengths = lengths
        self.meta_batch = meta_batch
        self.validation_problems = validation_problems
        self.by_accuracy = by_accuracy
        self.seed = seed
        self.cluster_anew, self.refresh = cluster_anew, refresh
        # Nothing but where they end is asked for.
        self.loss_curves = [
            (family, LossCurves(learner.rule, family, validation_steps, every=validation_steps))
            for family in validation
        ]

    def advance(self, step, count, progress):
        distributed.broadcast([*self.learner.variables, *self.learner.optimizer.variables])
        for training in self.trainings:
            training.take_clusters()
        progress.pause()
        losses = []
        for number in range(step, step + count):
            loss = self._meta_iteration(number)
            progress.step(number, {"loss": loss})
            losses.append(loss)
            if progress.stopping:
                break
        return {"loss": float(np.mean(losses))}

    def _meta_iteration(self, number: int) -> float:
        if self.refresh and self.cluster_anew and number and number % self.refresh == 0:
            self.cluster_anew()
        drawn = np.random.default_rng([self.seed, number]).choice(len(self.trainings))
        return self.trainings[drawn](number, self.lengths(number))

    def validate(self):
        """The means over the validation problems after their last step.

        Returns:
            `log_ratio`, the log of the loss over the first one, with its 95 % interval, over all
            families; how many problems `diverged`, whose log ratio is not finite; `accuracy` in
            per cent on held-out data, over families that have one; and all but the interval, with
            the mean `loss`, of each of the `families` by name.
        """
        families, ratios, scores = {}, [], []
        for family, loss_curves in self.loss_curves:
            ended = loss_curves(self.validation_problems)
            first, last = ended.losses[:, 0], ended.losses[:, -1]
            ratio = np.log(last / (first + 1e-6) + 1e-6)
            found = {"loss": float(last.mean()), **_of_ratios(ratio)}
            ratios.append(ratio)
            if family.metric:
                found["accuracy"] = in_unit("accuracy", float(ended.scores[:, -1].mean()))
                scores.append(ended.scores[:, -1])
            families[family.name] = found
        ratio = np.concatenate(ratios)
        results = {**_of_ratios(ratio), "ci95": float(interval95(ratio))}
        if scores:
            results["accuracy"] = in_unit("accuracy", float(np.concatenate(scores).mean()))
        return {**results, "families": families}

    def merit(self, validation):
        return validation["accuracy"] if self.by_accuracy else -validation["log_ratio"]

    def headline(self, validation):
        ends = [written("log_ratio", validation["log_ratio"], validation["ci95"])]
        if "accuracy" in validation:
            ends.append(written("accuracy", validation["accuracy"]))
        if validation["diverged"]:
            ends.append(f"{validation['diverged']} diverged")
        return ", ".join(ends)


def _of_ratios(ratio: np.ndarray) -> dict[str, float]:
    """The mean of log ratios, and how many are not finite."""
    return {"log_ratio": float(ratio.mean()), "diverged": int((~np.isfinite(ratio)).sum())}


def reached(rows: Sequence[dict[str, Any]], accuracy: float) -> dict[str, float] | None:
    """When a training reached an accuracy: at the first of three validations in a row that have it.

    Args:
        rows: as `Training.rows`.
        accuracy: in per cent.

    Returns:
        The `step` and the `seconds` of training until then; None if it did not.
    """
    place = first_lasting([row["validation"]["accuracy"] for row in rows], accuracy)
    return None if place is None else {name: rows[place][name] for name in ("step", "seconds")}
