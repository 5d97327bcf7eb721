"""MAML, its tasks split over Horovod ranks (QMAML)."""

import keras
import tensorflow as tf

from tfmeta.engine import gradients_of
from tfmeta.learners.base import FewShotLearner
from tfmeta.learners.task_learner import Outcome


@keras.saving.register_keras_serializable("tfmeta")
class MAML(FewShotLearner):
    """Model-agnostic meta-learning (Finn et al. 2017, algorithm 2) of any Keras model.

    For each task the weights take a few inner steps on its support set; the gradient of the loss
    of the adapted weights on its query set, taken through these steps and averaged over the tasks
    of the meta-batch, moves the initial weights. Under `horovodrun` each rank holds a share of the
    meta-batch and the task gradients are merged (QMAML: Kunde et al. 2021).

    With an update rule that gives evidence, such as `GaussNewton`, what is learned is to raise,
    besides lowering the loss on the query set, the log evidence of a task's support and query set
    together, so that the rule's variances are those of tasks about their start.

    See `FewShotLearner` for its arguments; `first_order=True` is first-order MAML.
    """

    def task_gradient(self, functional, learned, task):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(learned)
            outcome = self.task_loss(functional, self.meta(learned, task), task)
        return outcome, gradients_of(tape, outcome.loss, learned)

    def task_loss(self, functional, meta, task) -> Outcome:
        """The meta-loss of one task, differentiable in what it begins with."""
        *_, adapted = self.adapt_task(functional, meta, task, self.inner_steps)
        query_loss, prediction, state = self.query_loss(functional, adapted, task, training=True)
        loss = query_loss
        log_evidence = self.log_evidence(functional, meta, task, ("support", "query"))
        if log_evidence is not None:
            loss -= log_evidence
        return Outcome(loss, query_loss, prediction, adapted._replace(state=state))
