"""What a few-shot learner does with tasks besides learning: it predicts, measures, and adapts."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmeta.engine import Tasks
from tfmeta.errors import ArgumentError
from tfmeta.inner import keras_support
from tfmeta.inner.functional import flat_prediction, last_step
from tfmeta.layers import check_copy, keras_copy
from tfmeta.learners.class_names import check_class_numbers, numbered
from tfmeta.learners.examples import as_tensors, warn_of_another_range
from tfmeta.learners.meta_batches import is_class_number, once_checked
from tfmeta.learners.task_learner import Adapted, TaskLearner

# What is built into graphs.
_IN_GRAPHS = (
    *("model", "update_rule", "start", "inner_learning_rate", "inner_steps", "test_inner_steps"),
    *("first_order", "tasks_in_flight", "vectorized", "head", "inner_batch"),
)


class AdaptingLearner(TaskLearner):
    """Adapts to tasks, each graph built once for tasks of a kind."""

    input_size: keras.Variable

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._graphs: dict[Any, Any] = {}
        self._graphs_are_of: Any = None
        self._copy_is_checked = False

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
        probe = self.probe(tasks)

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
        with once_checked(tasks, self.probe(tasks).output):
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

        Warns:
            UserWarning: the largest input is over ten times what it was in training, or less than
                a tenth of it.
        """
        y, names = numbered(y)
        task = {"support_x": x, "support_y": y, "support_weight": sample_weight}
        task = {name: as_tensors(nest) for name, nest in task.items() if nest is not None}
        example = tf.nest.map_structure(lambda tensor: tensor[:1], task["support_x"])
        self.build_for(example)
        self._check_support_set(task)
        warn_of_another_range(task["support_x"], float(self.input_size))
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
            if is_class_number(y, prediction) and len(y):
                numbers = y.numpy()
                check_class_numbers("y", numbers.min(), numbers.max(), outputs[-1])
