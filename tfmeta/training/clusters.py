"""The training of a few-shot learner whose tasks form clusters."""

from collections.abc import Iterator

import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.distributed import chunks, share
from tfmeta.tasks.source import TaskSource
from tfmeta.training.few_shot import FewShotTrainer

# Tasks of a pool that are held in memory at once.
_AT_ONCE = 25


class ClusteredFewShotTrainer(FewShotTrainer):
    """Trains as `FewShotTrainer` does, and forms clusters when it is time.

    Args:
        *arguments: of `FewShotTrainer`; the start of the learner has clusters.
        pool: how many tasks clusters are fitted on, of all ranks together. They are those that a
            meta-batch of that size would have at the step.
        pretrain_steps: outer steps before clusters are formed.
        refresh: outer steps after which they are formed anew; None for never.
    """

    def __init__(self, *arguments, pool: int, pretrain_steps: int, refresh: int | None):
        super().__init__(*arguments)
        self.pool = pool
        self.pretrain_steps = pretrain_steps
        self.refresh = refresh

    def advance(self, step, count, progress):
        sums: dict[str, float] = {}
        first, end = step, step + count
        while step < end and not progress.stopping:
            since = step - self.pretrain_steps
            if since == 0 or (self.refresh and since > 0 and since % self.refresh == 0):
                self.learner.start.form_clusters(self.learner, Pool(self.source, self.pool, step))
            until = self._next(step, end)
            means = super().advance(step, until - step, progress)
            for name, value in means.items():
                sums[name] = sums.get(name, 0.0) + value * (progress.reached - step)
            step = progress.reached
        return {name: total / (step - first) for name, total in sums.items()}

    def _next(self, step, end):
        """The first step after this one at which clusters are formed, or the end."""
        since = step - self.pretrain_steps
        if since < 0:
            return min(end, self.pretrain_steps)
        return min(end, step + self.refresh - since % self.refresh) if self.refresh else end


class Pool:
    """This rank's share of so many tasks of a source, a few at a time; as often as it is asked for.

    Args:
        source: of the tasks.
        count: how many, of all ranks together.
        step: their address.
    """

    def __init__(self, source: TaskSource, count: int, step: int):
        self.count, self.step = count, step
        self.batch = tf.function(source.batch, autograph=False)

    def __iter__(self) -> Iterator[engine.Tasks]:
        mine = share(self.count, distributed.rank(), distributed.size())
        for first, last in chunks(mine, _AT_ONCE):
            yield self.batch(tf.constant(self.step), tf.constant(first), tf.constant(last))
