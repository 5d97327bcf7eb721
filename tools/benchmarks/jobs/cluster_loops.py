"""Training of the hierarchical RNN over clusters of problems, in the forms that are compared."""

from typing import Any

import keras

from tfmeta import distributed
from tfmeta.learners.estimators import TruncatedGradient
from tfmeta.learners.meta_losses import LastLogRatio, LogRatio
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems.parallel_batches import ParallelBatches
from tfmeta.problems.registry import problems_named
from tfmeta.registry import CLUSTER_UPDATES
from tfmeta.scheduling.balance import COMPARE_FIRST, BalancedSchedule
from tfmeta.scheduling.truncation import Lengths
from tfmeta.training.fan_in_adam import FanInAdam
from tfmeta.updates import HierarchicalRNN

_PACKINGS = 4  # at most, before times are taken


def _published(**form):
    optimizer = keras.optimizers.RMSprop(1e-6, rho=0.9, epsilon=1e-20, clipvalue=1e4)
    return _learner(HierarchicalRNN(), LogRatio(), TruncatedGradient(), optimizer, **form)


def _tuned(**form):
    rule = HierarchicalRNN(first_rates=(1e-3, 1e-2))
    meta_loss, estimator = LastLogRatio(1e-8), TruncatedGradient(problem_clip=1.0)
    return _learner(rule, meta_loss, estimator, FanInAdam(), **form)


def _learner(rule, meta_loss, estimator, optimizer, **form):
    learner = OptimizerLearner(rule, meta_loss, first_order=False, estimator=estimator, **form)
    learner.compile(optimizer=optimizer)
    return learner


# How rules are trained: with the settings of Wichrowska's public code; and in a way that trains
# better, by an outer optimizer whose rate is to be chosen.
RECIPES = {"published": _published, "tuned": _tuned}


class ClusterLoops:
    """Makes trainings. Learners are kept, with their graphs, and so are the times of problems."""

    def __init__(self) -> None:
        self._learners: dict[Any, tuple[OptimizerLearner, dict[str, Any]]] = {}
        # Seconds of a step of so many problems, by form, steps of a meta-iteration, and family.
        self._times: dict[Any, dict[int, float]] = {}

    def __call__(
        self,
        lengths: Lengths,
        families: list[str],
        clusters: list[int],
        problems: int,
        vectorized: bool,
        xla: bool,
        batches: int,
        cluster_groups: str,
        within_cluster: str,
        recipe: str = "published",
    ) -> TruncatedTraining:
        """A new training, settled, of a learner that is kept, with its graphs.

        Args:
            lengths: of the unrolls that are made until it has settled.
            families: names among `wichrowska`'s.
            clusters: of each.
            problems: of each in a meta-iteration.
            vectorized: the problems of a family run as one.
            xla: compiled.
            batches: of data, in a step.
            cluster_groups: of `registry.PACKINGS`.
            within_cluster: of `registry.CLUSTER_UPDATES`.
            recipe: of `RECIPES`.
        """
        form = (recipe, vectorized, xla, batches)
        if form not in self._learners:
            learner = RECIPES[recipe](xla=xla, vectorized=vectorized)
            made = problems_named("wichrowska")
            if batches > 1:
                made = [ParallelBatches(family, batches, vectorized) for family in made]
            self._learners[form] = learner, {family.name: family for family in made}
        learner, named = self._learners[form]
        keys = [(form, sum(lengths.steps), name) for name in families]
        times = [self._times.setdefault(key, {}) for key in keys]
        schedule = BalancedSchedule(clusters, problems, cluster_groups, times)
        loop = CLUSTER_UPDATES[within_cluster](
            learner, [named[name] for name in families], schedule
        )
        _settle(loop, schedule, lengths)
        for known, measured in zip(times, schedule.times, strict=True):
            known.update(measured)
        return loop


def _settle(loop: TruncatedTraining, schedule: BalancedSchedule, lengths: Lengths) -> None:
    """Traces the graphs and, on several ranks, packs the groups by their times, until that changes
    nothing.

    From then on the groups stay as they are: another packing would have a rank trace and compile
    what it has not run before, within the time that is measured.
    """
    if distributed.size() == 1:
        loop(0, lengths)
        return
    for _ in range(_PACKINGS):
        for step in range(COMPARE_FIRST + 1):
            loop(step, lengths)
        if not schedule.comparisons[-1]["packed_anew"]:
            break
    schedule.held = True
