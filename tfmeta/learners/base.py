"""What every few-shot learner is: a Keras model that is trained on tasks."""

from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.checks import check_count
from tfmeta.engine import TaskResult, Tasks
from tfmeta.inner.functional import Probe, flat_prediction
from tfmeta.layers import configuration
from tfmeta.learners.adapting_learner import AdaptingLearner
from tfmeta.learners.examples import largest
from tfmeta.learners.meta_batch_model import example_specs
from tfmeta.learners.meta_batches import once_checked
from tfmeta.learners.task_learner import Adapted
from tfmeta.starts.base import Start
from tfmeta.starts.shared import Shared
from tfmeta.updates import GradientDescent, UpdateRule
from tfmeta.updates.arithmetic import check_rate


class FewShotLearner(AdaptingLearner):
    """A learner of few-shot tasks: a start, an update rule, and a meta-gradient.

    It is trained as any Keras model is, on a `tf.data.Dataset` whose elements are meta-batches,
    such as `Episodes.batches` gives. A meta-batch is a dictionary of tensors with a leading task
    axis: `support_x`, `support_y`, `query_x` and `query_y` [tasks, examples, ...], and, where the
    model has random layers, `seed` int32 [tasks, 2], which makes their draws. On several ranks
    each rank gives its own share; the shares may differ in size, and each task counts once. Where
    there is an entry `weight` [tasks], a task counts as much as that says: the mean of the tasks'
    gradients, and of what layers keep, is the weighted one over all ranks.

    `compile` takes any Keras optimizer, loss and metrics: the loss is that of the inner steps and
    of the query set, the metrics are those of the query set after adaptation. Regularization
    losses of the model count in both. `evaluate` adapts with `test_inner_steps` and predicts the
    query set as in inference.

    Layers that keep floating-point statistics are given the mean over the tasks of what each
    task leaves; integer state stays as it is.

    A subclass says what the gradient of one task is (`task_gradient`), and, where they differ,
    which variables adapt (`adapting`), how (`adapt_task`), and how an adapted model predicts
    (`query_loss`, `to_keras`).

    Args:
        model: the Keras model to meta-learn, with one input and one output tensor.
        inner_learning_rate: the rate of the inner steps.
        inner_steps: the number of inner steps in training.
        first_order: let no derivative through the gradients of the inner steps.
        test_inner_steps: the number of inner steps in evaluation and in `adapt`; by default as many
            as in training.
        tasks_in_flight: the number of tasks at work at once, see `engine.sum_of_gradients`.
        vectorized: run all tasks at once, for small dense models, see `engine.sum_of_gradients`.
        update_rule: how the inner steps move; by default gradient descent with
            `inner_learning_rate`. Its parameters are learned along with the initial weights:
            learned rates (Li et al. 2017), a learned rule (Ravi and Larochelle 2017).
        start: what a task begins with; by default the same for all tasks.

    Raises:
        ArgumentError: a number is out of range; the model cannot be meta-learned, see
            `model_checks.check`; or second order is asked for and a layer would make it inexact.
    """

    def __init__(
        self,
        model: keras.Model,
        inner_learning_rate: float = 0.01,
        inner_steps: int = 1,
        first_order: bool = False,
        test_inner_steps: int | None = None,
        tasks_in_flight: int = 4,
        vectorized: bool = False,
        update_rule: UpdateRule | None = None,
        start: Start | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.inner_steps = check_count("inner_steps", inner_steps)
        if test_inner_steps is not None:
            check_count("test_inner_steps", test_inner_steps)
        self.test_inner_steps = test_inner_steps or inner_steps
        self.tasks_in_flight = check_count("tasks_in_flight", tasks_in_flight)
        self.first_order = bool(first_order)
        self.vectorized = bool(vectorized)
        self.inner_learning_rate = check_rate("inner_learning_rate", inner_learning_rate)
        self.model = model
        self.check_model()
        self.update_rule = update_rule or self.default_rule()
        self.start = start or Shared()
        self.start.check(self.update_rule)
        self.memory: list[keras.Variable] = []
        if model.built:
            self.build_parts()

    def default_rule(self) -> UpdateRule:
        """The update rule where none is given."""
        return GradientDescent(self.inner_learning_rate)

    # One outer step.

    def meta_gradient(self, tasks: Tasks) -> tuple[TaskResult, list[tf.Tensor]]:
        """The results and gradients of this rank's tasks, summed.

        Args:
            tasks: as the start prepared them.

        Returns:
            A `TaskResult`: `loss`, the sum of the meta-losses; `outputs`, the loss on the query
            set [tasks] and the prediction [tasks, query examples, ...], with its masks; `sums`, the
            statistics, in the order of `statistics`. And the sum of the gradients in each tensor of
            `learned`. Where the tasks have weights, sums are weighted.
        """
        functional, learned = self.functional(), self.learned()
        examples = example_specs(tasks["query_x"])
        self.check_model(examples)
        probe = functional.probe(examples)

        def task_gradient(task):
            outcome, gradients = self.task_gradient(functional, learned, task)
            moved = [outcome.adapted.state[index] for index in probe.moving]
            moved += self.remembered(outcome.adapted)
            moved.append(tf.cast(largest(task["support_x"]), self.input_size.dtype))
            outputs = [outcome.query_loss, *flat_prediction(outcome.prediction)]
            weight = task.get("weight")
            if weight is None:
                return TaskResult(outcome.loss, outputs, moved), gradients
            loss, *rest = (
                tensor * tf.cast(weight, tensor.dtype)
                for tensor in (outcome.loss, *moved, *gradients)
            )
            return TaskResult(loss, outputs, rest[: len(moved)]), rest[len(moved) :]

        scalar = tf.TensorSpec([], learned[0].dtype)
        signature = TaskResult(
            scalar,
            [scalar, *probe.flat],
            [tf.TensorSpec(v.shape, v.dtype) for v in self.statistics(probe)],
        )
        result, gradients = engine.sum_of_gradients(
            task_gradient, learned, tasks, signature, self.vectorized, self.tasks_in_flight
        )
        losses, *tensors = result.outputs
        return result._replace(outputs=(losses, probe.predicted(tensors))), gradients

    def statistics(self, probe: Probe) -> list[keras.Variable]:
        """The variables that are given the mean over the tasks of what each task leaves."""
        moving = [self.model.non_trainable_variables[index] for index in probe.moving]
        return [*moving, *self.memory, self.input_size]

    def remembered(self, adapted: Adapted) -> list[tf.Tensor]:
        """What a task leaves for the variables of `memory`; here nothing."""
        return []

    def train_step(self, tasks):
        with once_checked(tasks, self.probe(tasks).output):
            return self._train_step(tasks)

    def _train_step(self, tasks):
        tasks = self.start.prepare(self, tasks, training=True)
        result, gradients = self.meta_gradient(tasks)
        losses, prediction = result.outputs
        # bfloat16 does not count beyond 256.
        dtype = tf.float32 if losses.dtype == tf.bfloat16 else losses.dtype
        # All that ranks have to tell each other in a step travels as one vector.
        loss, count, weight, *rest = distributed.sum_over_ranks(
            [
                tf.reduce_sum(tf.cast(losses, dtype)),
                tf.cast(tf.size(losses), dtype),
                tf.reduce_sum(tf.cast(tasks.get("weight", tf.ones_like(losses)), dtype)),
                *result.sums,
                *gradients,
            ]
        )
        means = [total / tf.cast(weight, total.dtype) for total in rest]
        statistics = self.statistics(self.probe(tasks))
        for variable, mean in zip(statistics, means[: len(statistics)], strict=True):
            variable.assign(mean)
        self.optimizer.apply_gradients(
            zip(means[len(statistics) :], self.trainable_variables, strict=True)
        )
        # Each rank takes an equal share of the loss of all, so that their states add up to it.
        return self.measure(loss / count, tasks, prediction, count / distributed.size())

    # What Keras asks of a model.

    def build_parts(self) -> None:
        """Builds the update rule and the start, once the model is built."""
        if not self.update_rule.built:
            variables = self.model.trainable_variables
            self.update_rule.build([list(variables[place].shape) for place in self.adapting()])
        if not self.start.built:
            self.start.make_variables(self.shared_variables())
        if not hasattr(self, "input_size"):
            # A task's largest input, in the mean over the tasks of the last step.
            self.input_size = self.add_weight(
                name="input_size", shape=(), initializer="zeros", trainable=False
            )
        self.built = True

    @property
    def trainable_variables(self):
        return self.start.meta_parameters(self.shared_variables())

    def get_config(self):
        return {
            **super().get_config(),
            "model": configuration.serialize(self.model),
            "inner_learning_rate": self.inner_learning_rate,
            "inner_steps": self.inner_steps,
            "first_order": self.first_order,
            "test_inner_steps": self.test_inner_steps,
            "tasks_in_flight": self.tasks_in_flight,
            "vectorized": self.vectorized,
            "update_rule": keras.saving.serialize_keras_object(self.update_rule),
            "start": keras.saving.serialize_keras_object(self.start),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["model"] = configuration.deserialize(config["model"], custom_objects)
        for name in ("update_rule", "start"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        return cls(**config)
