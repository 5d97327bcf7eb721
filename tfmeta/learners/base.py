"""What every few-shot learner is: a Keras model that is trained on tasks."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.checks import check_count
from tfmeta.engine import TaskResult, Tasks
from tfmeta.errors import ArgumentError
from tfmeta.inner import keras_support, model_checks
from tfmeta.inner.functional import Probe, flat_prediction, last_step
from tfmeta.layers import check_copy, configuration, keras_copy
from tfmeta.learners.class_names import check_class_numbers, numbered
from tfmeta.learners.examples import as_tensors
from tfmeta.learners.meta_batch_model import example_specs
from tfmeta.learners.meta_batches import is_class_number, once_there
from tfmeta.learners.task_learner import Adapted, TaskLearner
from tfmeta.starts.base import Start
from tfmeta.starts.shared import Shared
from tfmeta.updates import GradientDescent, UpdateRule
from tfmeta.updates.arithmetic import check_rate

# What is built into graphs.
_IN_GRAPHS = (
    *("model", "update_rule", "start", "inner_learning_rate", "inner_steps", "test_inner_steps"),
    *("first_order", "tasks_in_flight", "vectorized", "head", "inner_batch"),
)


class FewShotLearner(TaskLearner):
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
        self._graphs: dict[Any, Any] = {}
        self._graphs_are_of: Any = None
        self.inner_steps = check_count("inner_steps", inner_steps)
        if test_inner_steps is not None:
            check_count("test_inner_steps", test_inner_steps)
        self.test_inner_steps = test_inner_steps or inner_steps
        self.tasks_in_flight = check_count("tasks_in_flight", tasks_in_flight)
        self.first_order = bool(first_order)
        self.vectorized = bool(vectorized)
        self.inner_learning_rate = check_rate("inner_learning_rate", inner_learning_rate)
        model_checks.check(model, second_order=not self.first_order)
        self.model = model
        self.update_rule = update_rule or self.default_rule()
        self.start = start or Shared()
        self.start.check(self.update_rule)
        self.memory: list[keras.Variable] = []
        self._copy_is_checked = False
        if model.built:
            self.build_parts()

    def __setattr__(self, name, value):
        if name in _IN_GRAPHS and self._has_graphs() and value != getattr(self, name, value):
            raise ArgumentError(
                name,
                value,
                "graphs have been built with another value; compile the learner anew, and set it "
                "before they are built.",
            )
        super().__setattr__(name, value)

    def _has_graphs(self):
        own = self.__dict__
        of_now = own.get("_graphs") and own["_graphs_are_of"] is own.get("_compile_loss")
        return bool(of_now or own.get("train_function") or own.get("test_function"))

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
        model_checks.check(self.model, not self.first_order, examples)
        probe = functional.probe(examples)

        def task_gradient(task):
            outcome, gradients = self.task_gradient(functional, learned, task)
            moved = [outcome.adapted.state[index] for index in probe.moving]
            moved += self.remembered(outcome.adapted)
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
        return [*moving, *self.memory]

    def remembered(self, adapted: Adapted) -> list[tf.Tensor]:
        """What a task leaves for the variables of `memory`; here nothing."""
        return []

    def train_step(self, tasks):
        with once_there(tasks):
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
        statistics = self.statistics(self.functional().probe(example_specs(tasks["query_x"])))
        for variable, mean in zip(statistics, means[: len(statistics)], strict=True):
            variable.assign(mean)
        self.optimizer.apply_gradients(
            zip(means[len(statistics) :], self.trainable_variables, strict=True)
        )
        # Each rank takes an equal share of the loss of all, so that their states add up to it.
        return self.measure(loss / count, tasks, prediction, count / distributed.size())

    def adapted_predictions(self, tasks: Tasks, steps: int) -> tuple[tf.Tensor, Any]:
        """How each task's query set is predicted after 0, 1, ... `steps` inner steps.

        Args:
            tasks: this rank's tasks.
            steps: the number of inner steps.

        Returns:
            The losses [tasks, steps + 1] and the predictions
            [tasks, steps + 1, query examples, ...], with their masks.
        """
        return self._predictions(self.query_loss, tasks, steps)

    def _predictions(self, query_loss, tasks, steps):
        functional, learned = self.functional(), self.learned()
        probe = functional.probe(example_specs(tasks["query_x"]))

        def task_function(task):
            losses, predictions = [], []
            for adapted in self.adapt_task(functional, self.meta(learned, task), task, steps):
                loss, prediction, *_ = query_loss(functional, adapted, task, training=False)
                losses.append(loss)
                predictions.append(flat_prediction(prediction))
            return tf.stack(losses), [tf.stack(parts) for parts in zip(*predictions, strict=True)]

        losses, tensors = self.for_each(task_function, self.start.prepare(self, tasks))
        return losses, probe.predicted(tensors)

    def measures(self, tasks: Tasks, steps: int) -> dict[str, tf.Tensor]:
        """The loss and the compiled metrics of each task's query set after 0, 1, ... inner steps.

        A network whose batch normalizations take the statistics of the batch at hand, or those of
        the support set, is measured in both ways: with the query set as one batch,
        `..._transductive`, and with each query example by itself, `..._by_example`.

        Args:
            tasks: this rank's tasks.
            steps: the number of inner steps.

        Returns:
            Tensors [tasks, steps + 1] by name; `loss` and the names of the metrics are those of
            the way that the learner is trained in.
        """
        functional = self.functional()
        measured = self.measured_tasks(tasks, *self.adapted_predictions(tasks, steps))
        if not functional.batch_dependent:
            return measured
        other = self.measured_tasks(
            tasks, *self._predictions(self.query_loss_otherwise, tasks, steps)
        )
        ways = ["by_example", "transductive"]
        if not functional.takes_support_statistics:
            ways.reverse()
        both = {
            f"{name}_{way}": values[name]
            for way, values in zip(ways, (measured, other), strict=True)
            for name in measured
        }
        return {**measured, **both}

    def adaptation(
        self, tasks: Tasks, steps: int, of: str = "adapted_predictions"
    ) -> Callable[[Tasks], Any]:
        """`adapted_predictions`, or `measures`, as one graph for all tasks of a kind.

        Args:
            tasks: `tf.TensorSpec`s with a leading task axis.
            steps: the number of inner steps.
            of: the name of the method.
        """
        return self.graph((of, steps), lambda tasks: getattr(self, of)(tasks, steps))(tasks)

    def graph(self, key: Any, function: Callable[..., Any]) -> Any:
        """A graph of `function`, built once for each key, and anew after `compile`."""
        if self._graphs_are_of is not self._compile_loss:  # which every `compile` makes anew
            self._graphs.clear()
            self._graphs_are_of = self._compile_loss
        if key not in self._graphs:
            self._graphs[key] = tf.function(function, autograph=False)
        return self._graphs[key]

    def test_step(self, tasks):
        with once_there(tasks):
            losses, predictions = self.adapted_predictions(tasks, self.test_inner_steps)
            return self.measure(losses[:, -1], tasks, last_step(predictions))

    # The model that a task is given.

    def to_keras(self, adapted: Adapted, x: Any) -> keras.Model:
        """An ordinary Keras model of an adapted one, see `tfmeta.layers.keras_copy`.

        Args:
            adapted: its weights and state.
            x: an example.
        """
        if not self._copy_is_checked:
            check_copy(self.model, x)
            self._copy_is_checked = True
        copy = keras_copy(self.model, x)
        keras_support.fill(copy, adapted.weights, adapted.state)
        return copy

    def adapt(
        self,
        x: Any,
        y: Any,
        inner_steps: int | None = None,
        seed: int = 0,
        sample_weight: Any = None,
        into: keras.Model | None = None,
    ) -> keras.Model:
        """Adapts to one task and gives back an ordinary Keras model of it.

        What a batch normalization needs to know of the support set, under the adapted weights, is
        frozen in: the answer to an example does not depend on the others in its batch.

        Args:
            x: support examples [examples, ...], or a nest of such.
            y: their labels, as the loss takes them; or names of classes, of which the first in the
                alphabet is class 0. The model then has them as `class_names`.
            inner_steps: `test_inner_steps` by default.
            seed: makes the draws of random layers during the inner steps.
            sample_weight: what each example counts in the loss, as in `keras.Model.fit`.
            into: a model that `adapt` has made before, to be filled with the new weights: to copy a
                model takes longer than to adapt it.

        Returns:
            A model of the same architecture as `self.model`, not compiled, with weights of its
            own: it predicts, saves and exports as any Keras model. Or `into`.

        Raises:
            ArgumentError: the examples are not of the shape that the model takes; or a class number
                is none of its outputs.
        """
        y, names = numbered(y)
        task = {"support_x": x, "support_y": y, "support_weight": sample_weight}
        task = {name: as_tensors(nest) for name, nest in task.items() if nest is not None}
        example = tf.nest.map_structure(lambda tensor: tensor[:1], task["support_x"])
        self.build_for(example)
        self._check_support_set(task)
        adapted = self._adapted(
            {**task, "seed": tf.constant([seed, 0])},
            self.test_inner_steps if inner_steps is None else inner_steps,
        )
        if into is None:
            into = self.to_keras(adapted, example)
        else:
            keras_support.fill(into, adapted.weights, adapted.state)
        if names is not None:
            into.class_names = names
        return into

    def _adapted(self, task, steps):
        """The `Adapted` of one task, traced once for tasks of its shapes."""

        def last(task):
            alone = self.start.prepare(self, tf.nest.map_structure(lambda t: t[None], task))
            task = tf.nest.map_structure(lambda tensor: tensor[0], alone)
            functional = self.functional()
            *_, adapted = self.adapt_task(functional, self.meta(self.learned(), task), task, steps)
            if not functional.batch_dependent:
                return adapted
            x, state = task["support_x"], adapted.state
            state = functional.support_statistics(adapted.weights, state, x, training=False)
            return adapted._replace(state=state)

        return self.graph(("adapt", steps), last)(task)

    def _check_support_set(self, task):
        shapes = getattr(self.model, "input_shape", None)
        if isinstance(shapes, tuple) and isinstance(task["support_x"], tf.Tensor):
            given = task["support_x"].shape
            if not tf.TensorShape(shapes[1:]).is_compatible_with(given[1:]):
                raise ArgumentError(
                    "x", tuple(given), f"the model takes {('examples', *shapes[1:])}."
                )
        outputs = getattr(self.model, "output_shape", None)
        y = task["support_y"]
        if isinstance(outputs, tuple) and isinstance(y, tf.Tensor):
            prediction = tf.TensorSpec(outputs, tf.float32)
            if is_class_number(y, prediction):
                check_class_numbers(y.numpy(), outputs[-1])

    # What Keras asks of a model.

    def build_parts(self) -> None:
        """Builds the update rule and the start, once the model is built."""
        if not self.update_rule.built:
            variables = self.model.trainable_variables
            self.update_rule.build([list(variables[place].shape) for place in self.adapting()])
        if not self.start.built:
            self.start.make_variables(self.shared_variables())
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
