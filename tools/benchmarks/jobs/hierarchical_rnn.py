"""The hierarchical RNN in tfmeta, its problems one by one, vectorized, or compiled by XLA.

A worker (see `answering`).
"""

import time

import keras
import tensorflow as tf

from tfmeta import distributed
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import problems_named
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.updates import HierarchicalRNN

from ..answering import serve


class Ours:
    """Unrolls with the log ratio of the loss on all data, and second derivatives.

    Args:
        family: the name of a family among the five types of problems.
        meta_batch: problems that are trained at once.
        unroll: steps between two updates of the rule.
        cell: `"gru"` or `"lstm"`.
        vectorized: Run all problems as one, else one by one.
        xla: compile the unrolls with XLA.
    """

    def __init__(
        self, family: str, meta_batch: int, unroll: int, cell: str, vectorized: bool, xla: bool
    ):
        problems = {problems.name: problems for problems in problems_named("wichrowska")}[family]
        learner = OptimizerLearner(
            HierarchicalRNN(cell=cell),
            "log_ratio",
            first_order=False,
            vectorized=vectorized,
            xla=xla,
        )
        learner.compile(optimizer=keras.optimizers.Adam(1e-3))
        self.training = TruncatedTraining(learner, [problems], EvenSchedule(meta_batch))
        self.begun = self.training.begin(0)
        self.meta_batch, self.unroll = meta_batch, unroll

    def train(self, steps: int) -> dict[str, float]:
        """CPU seconds of a step of one problem in so many unrolls, all from the same start."""
        start = time.process_time()
        for _ in range(steps):
            loss, _ = self.training.update(self.begun, tf.constant(0), self.unroll)
        loss = float(loss)
        problem_steps = steps * self.unroll * self.meta_batch
        return {"seconds": (time.process_time() - start) / problem_steps, "loss": loss}


if __name__ == "__main__":
    distributed.init()
    serve(Ours, {"tensorflow": tf.__version__, "keras": keras.__version__})
