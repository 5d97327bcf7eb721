"""MAML, its tasks split over Horovod ranks (QMAML)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.errors import ArgumentError
from tfmeta.inner import keras_support as keras_model
from tfmeta.inner.functional import FunctionalModel, State
from tfmeta.inner.loop import inner_step, least_squares_step
from tfmeta.updates import GaussNewton, GradientDescent
from tfmeta.updates.arithmetic import check_rate
from tfmeta.updates.base import Rule
from tfmeta.updates.linearized import linearize

# The initial weights, and the parameters of the update rule.
Learned = tuple[list[tf.Tensor], list[tf.Tensor]]


@keras.saving.register_keras_serializable("tfmeta")
class MAML(keras.Model):
    """Model-agnostic meta-learning (Finn et al. 2017, algorithm 2) of any Keras model.

    For each task the weights take a few steps of gradient descent on its support set; the
    gradient of the loss of the adapted weights on its query set, taken through these steps and
    averaged over the tasks of the meta-batch, moves the initial weights. Under `horovodrun` each
    rank holds a share of the meta-batch and the task gradients are merged (QMAML: Kunde et al.
    2021).

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

    Args:
        model: the Keras model to meta-learn, with one input and one output tensor.
        inner_learning_rate: alpha, the rate of the inner steps.
        inner_steps: how many, in training.
        first_order: drop the second derivatives (first-order MAML).
        test_inner_steps: how many inner steps in evaluation and in `adapt`; by default as many as
            in training.
        tasks_in_flight: how many tasks may be at work at once, see `engine.meta_loss`.
        stacked: run the tasks as one, for small dense models, see `engine.meta_loss`.
        update_rule: how the inner steps move; by default gradient descent with
            `inner_learning_rate`. Parameters that it has are learned along with the initial
            weights: learned rates (Li et al. 2017), a learned rule (Ravi and Larochelle 2017). With
            `GaussNewton` the loss is the mean squared error; its inner steps do not see
            regularization losses, which are therefore refused; and what is learned is to lower,
            besides the error on the query set, the surprise of the start at a task's support and
            query set together, so that its variances are those of tasks about it.

    Raises:
        ArgumentError: a number is out of range; the model computes in float16, whose loss scaling
            does not pass through a meta-gradient; or second order is asked for and a
            normalization layer of Keras's own would make it inexact.
    """

    def __init__(
        self,
        model: keras.Model,
        inner_learning_rate: float = 0.01,
        inner_steps: int = 1,
        first_order: bool = False,
        test_inner_steps: int | None = None,
        tasks_in_flight: int = 4,
        stacked: bool = False,
        update_rule: Rule | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for argument, count in (
            ("inner_steps", inner_steps),
            ("test_inner_steps", inner_steps if test_inner_steps is None else test_inner_steps),
            ("tasks_in_flight", tasks_in_flight),
        ):
            if not isinstance(count, int) or count < 1:
                raise ArgumentError(argument, count, "give a whole number of at least 1.")
        keras_model.check(model, second_order=not first_order)
        self.model = model
        self.inner_learning_rate = check_rate("inner_learning_rate", inner_learning_rate)
        self.update_rule = update_rule or GradientDescent(inner_learning_rate)
        self.inner_steps = inner_steps
        self.first_order = bool(first_order)
        self.test_inner_steps = test_inner_steps or inner_steps
        self.tasks_in_flight = tasks_in_flight
        self.stacked = bool(stacked)
        self._adaptations: dict[Any, Any] = {}
        # Horovod's operations have no XLA kernel on a CPU, so a step cannot be compiled as a whole.
        self.supports_jit = False
        if model.built:
            self._build_rule()

    # The algorithm.

    def inner_loop(
        self, functional: FunctionalModel, state: State, learned: Learned, task, steps: int
    ) -> Iterator[tuple[list[tf.Tensor], State]]:
        """theta_i+1 = update(theta_i, gradient of the support loss at theta_i), for i < steps.

        A `GaussNewton` rule sees the network linearized at theta_i instead of the gradient.

        Yields:
            The weights and the model's state before the first step and after each.
        """
        weights, parameters = learned
        state = self._task_state(functional, state, task)
        seed = task.get("seed", tf.zeros([2], tf.int32))
        rule_state = self.update_rule.initial_state(parameters, weights, seed)
        yield weights, state
        for _ in range(steps):
            if isinstance(self.update_rule, GaussNewton):
                step = least_squares_step(
                    self._predict(functional, state, task["support_x"]),
                    task["support_y"],
                    self.update_rule,
                    parameters,
                    weights,
                    rule_state,
                    self.first_order,
                )
            else:

                def support_loss(weights, state=state):
                    loss, _, state = functional.loss_on(
                        weights, state, task["support_x"], task["support_y"], training=True
                    )
                    return loss, state

                step = inner_step(
                    support_loss,
                    self.update_rule,
                    parameters,
                    weights,
                    rule_state,
                    self.first_order,
                )
            _, state, weights, rule_state = step
            yield weights, state

    def surprise(
        self, functional: FunctionalModel, state: State, learned: Learned, task, parts
    ) -> tf.Tensor:
        """How little the start expects the targets of one task, see `GaussNewton.surprise`.

        Args:
            functional, state, learned, task: as of `inner_loop`.
            parts: which of its targets, of `("support", "query")`.
        """
        weights, parameters = learned
        state = self._task_state(functional, state, task)
        x, y = (tf.concat([task[f"{part}_{n}"] for part in parts], axis=0) for n in "xy")
        linearized, _ = linearize(self._predict(functional, state, x), y, weights)
        return self.update_rule.surprise(parameters, linearized)

    def meta_loss(self, tasks: engine.Tasks) -> engine.TaskResult:
        """The loss on the query set after adaptation, of every task of this rank.

        Returns:
            `loss`: the sum over the tasks, with its gradient in the weights; with a `GaussNewton`
            rule the surprise of each task is added. `outputs`: the loss on the query set [tasks]
            and the prediction [tasks, query examples, ...]. `sums`: the statistics that moved, in
            the order of `FunctionalModel.probe`, summed over the tasks. Where the tasks have
            weights, the sums are weighted.
        """
        functional = self._functional()
        probe = functional.probe(_example_spec(tasks["query_x"]))
        state = functional.state()

        def task_function(learned, task):
            *_, (adapted, task_state) = self.inner_loop(
                functional, state, self._parted(learned), task, self.inner_steps
            )
            loss, prediction, task_state = functional.loss_on(
                adapted, task_state, task["query_x"], task["query_y"], training=True
            )
            moved = [task_state[index] for index in probe.moving]
            objective = loss
            if isinstance(self.update_rule, GaussNewton):
                objective += self.surprise(
                    functional, state, self._parted(learned), task, ("support", "query")
                )
            if "weight" not in task:
                return engine.TaskResult(objective, (loss, prediction), moved)
            weight = task["weight"]
            return engine.TaskResult(
                objective * tf.cast(weight, loss.dtype),
                (loss, prediction),
                [statistic * tf.cast(weight, statistic.dtype) for statistic in moved],
            )

        learned = self._learned()
        scalar = tf.TensorSpec([], learned[0].dtype)
        signature = engine.TaskResult(
            scalar,
            (scalar, probe.output),
            [tf.TensorSpec(state[index].shape, state[index].dtype) for index in probe.moving],
        )
        return engine.meta_loss(
            task_function, learned, tasks, signature, self.tasks_in_flight, self.stacked
        )

    def train_step(self, tasks):
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, (losses, prediction), sums = self.meta_loss(tasks)
        gradients = distributed.summing_tape(tape).gradient(loss, [v.value for v in variables])
        # Metrics see the tasks of all ranks, so that every rank tells its callbacks the same.
        weights = tasks.get("weight", tf.ones_like(losses))
        losses, prediction, y, weights = distributed.gather(
            [losses, prediction, tasks["query_y"], weights]
        )
        count = tf.reduce_sum(weights)
        self.optimizer.apply_gradients(
            (gradient / tf.cast(count, gradient.dtype), variable)
            for gradient, variable in zip(gradients, variables, strict=True)
        )
        moving = self._functional().probe(_example_spec(tasks["query_x"])).moving
        for index, total in zip(moving, distributed.add(sums), strict=True):
            self.model.non_trainable_variables[index].assign(total / tf.cast(count, total.dtype))
        return self._measure(losses, y, prediction)

    def adapted_predictions(self, tasks: engine.Tasks, steps: int) -> tuple[tf.Tensor, tf.Tensor]:
        """How each task's query set is predicted after 0, 1, ... `steps` inner steps.

        Args:
            tasks: this rank's tasks.
            steps: how many inner steps.

        Returns:
            The losses [tasks, steps + 1] and the predictions
            [tasks, steps + 1, query examples, ...].
        """
        functional = self._functional()
        learned, state = self._learned(), functional.state()

        def task_function(task):
            results = []
            for adapted, task_state in self.inner_loop(
                functional, state, self._parted(learned), task, steps
            ):
                results.append(
                    functional.loss_on(
                        adapted, task_state, task["query_x"], task["query_y"], training=False
                    )[:2]
                )
            losses, predictions = zip(*results, strict=True)
            return tf.stack(losses), tf.stack(predictions)

        return engine.for_each(task_function, tasks, self.stacked, self.tasks_in_flight)

    def adaptation(self, tasks: engine.Tasks, steps: int) -> Callable[[engine.Tasks], Any]:
        """`adapted_predictions` for so many steps, as one graph for all tasks of a kind.

        Args:
            tasks: what they look like: `tf.TensorSpec`s with a leading task axis.
            steps: how many inner steps.
        """
        key = steps, self.loss  # which another `compile` may have changed
        if key not in self._adaptations:
            self._adaptations[key] = tf.function(
                lambda tasks: self.adapted_predictions(tasks, steps), autograph=False
            )
        return self._adaptations[key].get_concrete_function(tasks)

    def test_step(self, tasks):
        losses, predictions = self.adapted_predictions(tasks, self.test_inner_steps)
        losses, prediction, y = distributed.gather(
            [losses[:, -1], predictions[:, -1], tasks["query_y"]]
        )
        return self._measure(losses, y, prediction)

    # What Keras asks of a model.

    def call(self, inputs, training=None):
        """The model's prediction with the weights that it starts a task with."""
        return self.model(inputs, training=training)

    def build(self, input_shape=None):
        if not self.model.built:
            self.model(tf.zeros([1, *input_shape[1:]]))
            keras_model.check(self.model, second_order=not self.first_order)
        self._build_rule()

    def fit(self, x=None, **kwargs):
        """`keras.Model.fit` on a dataset of meta-batches; every rank calls it with its share.

        All ranks start from rank 0's weights and optimizer state. Callbacks run on every rank and
        are told the same numbers; those of Keras that write files run on rank 0 alone, and
        rank 0 alone shows progress.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.fit`.
        """
        self._prepare(x)
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)
            distributed.broadcast([*self.variables, *self.optimizer.variables])
        # Keras would shuffle and, on a dataset, warn that it cannot.
        kwargs.setdefault("shuffle", False)
        return super().fit(x, **keras_model.for_this_rank(kwargs))

    def evaluate(self, x=None, **kwargs):
        """`keras.Model.evaluate` on a dataset of meta-batches; every rank calls it with its share.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.evaluate`.

        Returns:
            The loss and the metrics of the query sets after `test_inner_steps` inner steps.
        """
        self._prepare(x)
        return super().evaluate(x, **keras_model.for_this_rank(kwargs))

    def adapt(self, x, y, inner_steps: int | None = None, seed: int = 0) -> keras.Model:
        """Adapts to one task and gives back an ordinary Keras model of it.

        Args:
            x: support examples [examples, ...].
            y: their labels, as the loss takes them.
            inner_steps: `test_inner_steps` by default.
            seed: makes the draws of random layers during the inner steps.

        Returns:
            A model of the same architecture as `self.model`, not compiled, with weights of its
            own: it predicts, saves and exports as any Keras model.
        """
        steps = self.test_inner_steps if inner_steps is None else inner_steps
        x, y = np.asarray(x), np.asarray(y)
        if not self.built:
            self.build(x.shape)
        functional = self._functional()

        @tf.function(autograph=False)
        def last(x, y):
            task = {"support_x": x, "support_y": y, "seed": tf.constant([seed, 0])}
            learned = self._parted(self._learned())
            *_, adapted = self.inner_loop(functional, functional.state(), learned, task, steps)
            return adapted

        weights, state = last(tf.convert_to_tensor(x), tf.convert_to_tensor(y))
        return keras_model.copy_with(self.model, x[:1], weights, state)

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "inner_learning_rate": self.inner_learning_rate,
            "inner_steps": self.inner_steps,
            "first_order": self.first_order,
            "test_inner_steps": self.test_inner_steps,
            "tasks_in_flight": self.tasks_in_flight,
            "stacked": self.stacked,
            "update_rule": keras.saving.serialize_keras_object(self.update_rule),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in ("model", "update_rule"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        return cls(**config)

    def _functional(self) -> FunctionalModel:
        if not self.compiled or self.loss is None:
            raise ArgumentError("loss", None, "compile the learner with a loss first.")
        loss = keras.losses.get(self.loss)
        if isinstance(self.update_rule, GaussNewton) and not (
            loss is keras.losses.mean_squared_error
            or isinstance(loss, keras.losses.MeanSquaredError)
        ):
            raise ArgumentError(
                "loss",
                getattr(loss, "name", None) or getattr(loss, "__name__", loss),
                "Gauss-Newton steps are those of the mean squared error; compile with mse, or take "
                "another update rule.",
            )
        return FunctionalModel(self.model, loss)

    def _learned(self) -> list[tf.Tensor]:
        """All that is learned, as tensors: the initial weights, then the rule's parameters."""
        return [tf.convert_to_tensor(v.value) for v in self.trainable_variables]

    def _parted(self, learned: Sequence[tf.Tensor]) -> Learned:
        count = len(self.model.trainable_variables)
        return list(learned[:count]), list(learned[count:])

    def _build_rule(self) -> None:
        if not self.update_rule.built:
            self.update_rule.build([list(v.shape) for v in self.model.trainable_variables])
        self.built = True

    def _predict(self, functional, state, x):
        """The predictions of weights, and the state after; for `linearize`."""

        def predict(weights):
            prediction, after, own = functional.call(weights, state, x, training=True)
            if own:
                raise ArgumentError(
                    "model",
                    self.model.name,
                    "Gauss-Newton steps do not see its regularization losses; take them out.",
                )
            return prediction, after

        return predict

    def _task_state(self, functional, state, task):
        if not functional.seeds:
            return state
        if "seed" not in task:
            raise ArgumentError(
                "seed",
                "missing",
                "the model has random layers; give each task of a meta-batch a seed [tasks, 2].",
            )
        return functional.seeded(state, task["seed"])

    def _measure(self, losses, y, prediction):
        y, prediction = (
            tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
            for tensor in (y, prediction)
        )
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(losses)
            else:
                metric.update_state(y, prediction)
        return self.get_metrics_result()

    def _prepare(self, x):
        if not isinstance(x, tf.data.Dataset) or not isinstance(x.element_spec, dict):
            raise ArgumentError(
                "x", type(x).__name__, "give a tf.data.Dataset of meta-batches (dictionaries)."
            )
        if not self.built:
            self.build([None, *x.element_spec["support_x"].shape[2:]])
        # Keras's metrics make their variables when they are first updated. In the graph of a step
        # that would have it traced twice.
        if not all(getattr(metric, "built", True) for metric in self.metrics):
            query_x, y = x.element_spec["query_x"], x.element_spec["query_y"]
            prediction = self._functional().probe(_example_spec(query_x)).output
            self._measure(
                tf.zeros([1]),
                _zeros([1, *y.shape[1:]], y.dtype),
                _zeros([1, *prediction.shape], prediction.dtype),
            )
            self.reset_metrics()


def _example_spec(x: tf.Tensor) -> tf.TensorSpec:
    """What one task's examples look like, given those of a batch of tasks."""
    return tf.TensorSpec(x.shape[1:], x.dtype)


def _zeros(shape, dtype):
    """Zeros of a shape in which sizes may be unknown."""
    return tf.zeros([size or 1 for size in shape], dtype)
