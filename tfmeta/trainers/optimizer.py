"""The training of an update rule on families of optimisation problems."""

from collections.abc import Callable, Sequence

import numpy as np

from tfmeta import distributed
from tfmeta.evaluation import interval95
from tfmeta.learners.optimizer_learner import OptimizerLearner
from tfmeta.learners.unroll_lengths import Lengths
from tfmeta.minimisation import Minimiser
from tfmeta.problems.problems import Problems
from tfmeta.training import Trainer


class OptimizerTrainer(Trainer):
    """A step is a meta-iteration: one family, drawn at random, its problems trained from the start.

    Args:
        learner: compiled.
        families: to train on.
        validation: families of unseen problems, to choose the best parameters by.
        lengths: of the unrolls, by the number of the meta-iteration.
        meta_batch: problems of a meta-iteration, of all ranks together.
        validation_problems: of each family, in a validation.
        validation_steps: steps of their training.
        seed: of the draw of families.
    """

    def __init__(
        self,
        learner: OptimizerLearner,
        families: Sequence[Problems],
        validation: Sequence[Problems],
        lengths: Callable[[int], Lengths],
        meta_batch: int,
        validation_problems: int,
        validation_steps: int,
        seed: int = 0,
    ):
        self.learner = learner
        self.families = list(families)
        self.lengths = lengths
        self.meta_batch = meta_batch
        self.validation_problems = validation_problems
        self.seed = seed
        self.minimisers = {
            family.name: Minimiser(learner.rule, family, validation_steps) for family in validation
        }
        learner.optimizer.build(learner.trainable_variables)

    def advance(self, step, count, progress):
        distributed.broadcast([*self.learner.variables, *self.learner.optimizer.variables])
        progress.pause()
        losses = []
        for number in range(step, step + count):
            family = np.random.default_rng([self.seed, number]).choice(len(self.families))
            loss = self.learner.meta_iteration(
                self.families[family], number, self.meta_batch, self.lengths(number)
            )
            progress.step(number, {"loss": loss})
            losses.append(loss)
        return {"loss": float(np.mean(losses))}

    def validate(self):
        """By family: `loss`, its mean after the last step; `log_ratio`, of it to the first loss.

        `log_ratio` without a family is the mean over all, with its 95 % interval.
        """
        families, ratios = {}, []
        for name, minimiser in self.minimisers.items():
            losses = minimiser(self.validation_problems).losses
            ratio = np.log(losses[:, -1] / (losses[:, 0] + 1e-6) + 1e-6)
            families[name] = {"loss": float(losses[:, -1].mean()), "log_ratio": float(ratio.mean())}
            ratios.append(ratio)
        ratio = np.concatenate(ratios)
        return {
            "log_ratio": float(ratio.mean()),
            "ci95": float(interval95(ratio[:, None])[0]),
            "families": families,
        }

    def merit(self, validation):
        return -validation["log_ratio"]
