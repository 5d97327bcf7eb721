"""Reptile: the initial weights move towards the adapted ones."""

from typing import Any

import keras
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_count
from tfmeta.engine import gradients_of
from tfmeta.errors import ArgumentError
from tfmeta.inner.functional import Examples
from tfmeta.learners.base import FewShotLearner
from tfmeta.learners.task_learner import Outcome, examples_of, joined
from tfmeta.updates import Adam

# The stream of a task's seed that draws its inner batches.
_BATCHES = 0xBA7C


@keras.saving.register_keras_serializable("tfmeta")
class Reptile(FewShotLearner):
    """Reptile (Nichol et al. 2018, algorithm 1, with a batch of tasks).

    phi <- phi + epsilon mean_i(phi_i - phi), where phi_i are the weights after `inner_steps` steps
    on task i. So phi - phi_i takes the place of a task's gradient, and no second derivative is
    needed: with `keras.optimizers.SGD(epsilon)` an outer step is the paper's, whose epsilon falls
    linearly from 1 to 0.

    In training a task is learned from all its examples, support and query set together, since the
    algorithm knows no query loss; what is reported is the loss on the query set afterwards. In
    evaluation it is learned from its support set.

    The inner steps are those of Adam without a first moment. As in the public code, its second
    moments live on from task to task; here, where tasks are learned side by side, each begins with
    the same ones, and what they leave is averaged. Evaluation does not change them.

    Args:
        model: the Keras model to meta-learn, see `FewShotLearner`.
        inner_learning_rate: the rate of the inner steps.
        inner_steps: the number of inner steps in training.
        inner_batch: the number of examples in an inner step, drawn without replacement until all
            have been seen, then anew; None for all. In evaluation a support set with fewer
            examples is taken whole.
        update_rule: how the inner steps move; by default `Adam` with `beta_1` of 0.
        **kwargs: of `FewShotLearner`.

    Raises:
        ArgumentError: what `FewShotLearner` raises; `inner_batch` is not a whole number of at least
            1; or the update rule has parameters, which Reptile does not learn.
    """

    def __init__(
        self,
        model: keras.Model,
        inner_learning_rate: float = 1e-3,
        inner_steps: int = 5,
        inner_batch: int | None = None,
        **kwargs: Any,
    ):
        self.inner_batch = None if inner_batch is None else check_count("inner_batch", inner_batch)
        super().__init__(model, inner_learning_rate, inner_steps, **{**kwargs, "first_order": True})

    def default_rule(self):
        return Adam(self.inner_learning_rate, beta_1=0.0)

    def task_gradient(self, functional, learned, task):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(learned)
            meta = self.meta(learned, task)
        everything = joined([examples_of(task, "support"), examples_of(task, "query")])
        examples = number_of(everything)
        if self.inner_batch is not None and self.inner_batch > examples:
            raise ArgumentError(
                "inner_batch", self.inner_batch, f"a task has {examples} examples; lower it."
            )
        known = {
            f"support_{name}": tensors
            for name, tensors in everything._asdict().items()
            if tensors is not None
        }
        *_, adapted = self.adapt_task(functional, meta, {**task, **known}, self.inner_steps)
        query_loss, prediction, state = self.query_loss(functional, adapted, task, training=True)
        difference = [old - new for old, new in zip(meta.weights, adapted.weights, strict=True)]
        outcome = Outcome(query_loss, query_loss, prediction, adapted._replace(state=state))
        return outcome, gradients_of(tape, meta.weights, learned, difference)

    def inner_examples(self, task, step):
        everything = super().inner_examples(task, step)
        examples = number_of(everything)
        if self.inner_batch is None or self.inner_batch > examples:
            return everything
        if "seed" not in task:
            raise ArgumentError(
                "seed",
                "missing",
                "inner batches are drawn by it; give each task of a meta-batch a seed [tasks, 2].",
            )
        # Passes over all examples, each in an order of its own; a batch may reach into the next.
        first = step * self.inner_batch
        last = first + self.inner_batch
        seed = random_numbers.fold_in(task["seed"], _BATCHES)
        passes = range(first // examples, (last - 1) // examples + 1)
        order = tf.concat(
            [
                random_numbers.choose(random_numbers.fold_in(seed, number), examples, examples)
                for number in passes
            ],
            axis=0,
        )
        chosen = order[first - passes[0] * examples : last - passes[0] * examples]
        return Examples(
            *(
                tf.nest.map_structure(lambda tensor: tf.gather(tensor, chosen), part)
                if part is not None
                else None
                for part in everything
            )
        )

    def rule_state(self, meta, weights, task):
        return tf.nest.pack_sequence_as(
            super().rule_state(meta, weights, task),
            [tf.convert_to_tensor(variable.value) for variable in self.memory],
        )

    def remembered(self, adapted):
        return tf.nest.flatten(adapted.rule_state)

    def build_parts(self):
        super().build_parts()
        if self.memory:
            return
        if self.update_rule.trainable_variables:
            raise ArgumentError(
                "update_rule",
                type(self.update_rule).__name__,
                "it has parameters, which Reptile does not learn; take another rule, or MAML.",
            )
        seed = tf.zeros([2], tf.int32)
        weights = self.split(self.shared_variables()).weights
        tensors = [tf.convert_to_tensor(weight.value) for weight in weights]
        start = self.update_rule.initial_state([], tensors, seed)
        for number, value in enumerate(tf.nest.flatten(start)):
            variable = self.add_weight(
                name=f"memory{number:03d}",
                shape=value.shape,
                dtype=value.dtype.name,
                initializer="zeros",
                trainable=False,
            )
            variable.assign(value)
            self.memory.append(variable)

    def get_config(self):
        config = super().get_config()
        del config["first_order"]
        return {**config, "inner_batch": self.inner_batch}


def number_of(examples: Any) -> int:
    """The number of examples in a nest of tensors [examples, ...]."""
    return tf.nest.flatten(examples)[0].shape[0]
