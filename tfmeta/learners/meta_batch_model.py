"""A Keras model that is trained and evaluated on meta-batches of tasks, on any number of ranks."""

import abc
import operator
from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.errors import ArgumentError
from tfmeta.inner.compiled_loss import examples_like, zeros_like
from tfmeta.inner.functional import FunctionalModel, map_prediction, masked, masks_of
from tfmeta.learners import rank_agreement
from tfmeta.learners.meta_batches import (
    check_meta_batch,
    labels_as_arguments,
    with_known_shapes,
)
from tfmeta.learners.rank_callbacks import for_this_rank
from tfmeta.learners.rank_metrics import check_states_add_up, summed_over_ranks


class MetaBatchModel(keras.Model, abc.ABC):
    """What Keras asks of a model, of one whose data are meta-batches.

    On several ranks Keras's metrics accumulate on their rank, and their states are summed over the
    ranks when they are read, at the end of an epoch or of an evaluation, before callbacks see them.
    What callbacks are told after a single batch is the loss of all ranks and this rank's metrics.

    Attributes:
        model: the Keras model to meta-learn.
        first_order: whether second derivatives are left out.
    """

    model: keras.Model
    first_order: bool

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # Horovod's operations have no XLA kernel on a CPU, so a step cannot be compiled as a whole.
        self.supports_jit = False

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs, by which `compile` may give losses and metrics."""
        return self.model.output_names

    @abc.abstractmethod
    def functional(self) -> FunctionalModel:
        """The model as a pure function, with the compiled loss."""

    @abc.abstractmethod
    def check_model(self) -> None:
        """Refuses a model that cannot be meta-learned."""

    @abc.abstractmethod
    def build_parts(self) -> None:
        """Builds what depends on the shapes of the model's variables."""

    def call(self, inputs, training=None):
        """The model's prediction with its present weights."""
        if not self.model._call_has_training_arg:
            return self.model(inputs)
        return self.model(inputs, training=training)

    def build(self, input_shape=None):
        if not self.model.built:
            self.build_for(tf.TensorSpec([1, *input_shape[1:]], keras.config.floatx()))
        self.build_parts()

    def build_for(self, x: Any) -> None:
        """Builds the learner for examples such as these, unless it is built.

        Args:
            x: tensors [examples, ...] or their `tf.TensorSpec`s, a nest.
        """
        if self.built:
            return
        if not self.model.built:
            self.model(tf.nest.map_structure(zeros_like, x))
            self.check_model()
        self.build_parts()

    def fit(self, x=None, **kwargs):
        """`keras.Model.fit` on a dataset of meta-batches; every rank calls it with its share.

        All ranks start from rank 0's weights and optimizer state, and take as many steps. Callbacks
        run on every rank and at the end of an epoch are told the same numbers; those of Keras that
        write files, and your own with an attribute `main_rank_only = True`, run on rank 0 alone,
        and rank 0 alone shows progress.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.fit`, but `class_weight`.

        Raises:
            ArgumentError: the meta-batches are not what a learner can be trained on, or there is
                none; `class_weight` is given; on several ranks, a metric whose state does not add
                up over them, or arguments that differ between them.
            RanksError: another rank does something else, or has ended.
        """
        if kwargs.get("class_weight") is not None:
            raise ArgumentError(
                "class_weight",
                kwargs["class_weight"],
                "a class has another number in each task; give examples their support_weight and "
                "query_weight.",
            )
        prepared = self._prepare(x)
        if isinstance(kwargs.get("validation_data"), tf.data.Dataset):
            self._prepare(kwargs["validation_data"])  # before training, rather than after an epoch
        # Keras would shuffle and, on a dataset, warn that it cannot.
        kwargs.setdefault("shuffle", False)
        with distributed.together("a step of fit"), labels_as_arguments():
            if self.optimizer is not None:
                self.optimizer.build(self.trainable_variables)
                rank_agreement.agree_to_fit(self, x, kwargs)
                distributed.broadcast([*self.variables, *self.optimizer.variables])
            return super().fit(prepared, **for_this_rank(kwargs))

    def evaluate(self, x=None, **kwargs):
        """`keras.Model.evaluate` on a dataset of meta-batches; every rank calls it with its share.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.evaluate`.

        Returns:
            The loss and the metrics of the query sets after `test_inner_steps` inner steps, of all
            ranks; each may have another number of meta-batches.

        Raises:
            ArgumentError: as `fit`.
            RanksError: as `fit`.
        """
        x = self._prepare(x)
        with distributed.together("evaluate"), labels_as_arguments():
            if not kwargs.get("_use_cached_eval_dataset"):  # else the validation within a `fit`
                rank_agreement.agree_to_evaluate(self)
            return super().evaluate(x, **for_this_rank(kwargs))

    def measure(
        self,
        losses: tf.Tensor,
        tasks: Any,
        prediction: Any,
        loss_weight: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Updates the metrics with a batch of this rank.

        Args:
            losses: [tasks], or their mean.
            tasks: with `query_y` [tasks, query examples, ...], and `query_weight`, if any.
            prediction: of the query sets [tasks, query examples, ...], with its masks.
            loss_weight: what the losses count.

        Returns:
            The metrics of this rank so far.
        """

        def examples(tensor):
            return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))

        y, weight = tasks["query_y"], tasks.get("query_weight")
        y = tf.nest.map_structure(examples, y)
        prediction = map_prediction(examples, prediction)
        weight = None if weight is None else tf.nest.map_structure(examples, weight)
        self._loss_tracker.update_state(losses, sample_weight=loss_weight)
        if self._compile_metrics is not None:
            self._compile_metrics.update_state(y, prediction, weight)
        if self._compile_loss.metrics:  # the loss of each output
            self._compile_loss(y, prediction, weight)
        return super().get_metrics_result()

    def measured_tasks(
        self, tasks: Any, losses: tf.Tensor, predictions: Any
    ) -> dict[str, tf.Tensor]:
        """The loss and the compiled metrics of each task's query set, after each inner step.

        Args:
            tasks: with `query_y` [tasks, query examples, ...], and `query_weight`, if any.
            losses: [tasks, steps + 1].
            predictions: [tasks, steps + 1, query examples, ...], with their masks.

        Returns:
            Tensors [tasks, steps + 1] by name.

        Raises:
            ArgumentError: the result of a metric is not one number.
        """
        metrics = self._compile_metrics
        if metrics is None:
            return {"loss": losses}
        specs = (
            tf.nest.map_structure(lambda y: tf.TensorSpec(y.shape, y.dtype), tasks["query_y"]),
            tf.nest.map_structure(
                lambda p: tf.TensorSpec([p.shape[0], *p.shape[2:]], p.dtype), predictions
            ),
        )
        with tf.init_scope():
            self._build_metrics(*specs)
        steps, masks = losses.shape[1], masks_of(predictions)
        kept = [mask for mask in masks if mask is not None]

        def of_task(task):
            y, weight, prediction, kept = task
            own = iter(kept)
            prediction = masked(prediction, [None if m is None else next(own) for m in masks])
            results = []
            for step in range(steps):
                at_step = map_prediction(operator.itemgetter(step), prediction)
                # A metric keeps nothing of a task for the next.
                with keras.StatelessScope():
                    metrics.reset_state()
                    metrics.update_state(y, at_step, weight if tf.nest.flatten(weight) else None)
                    results.append(metrics.result())
            for name, value in results[0].items():
                if value.shape.rank != 0:
                    raise ArgumentError(
                        "metrics", name, "its result is not one number; give it an average."
                    )
            return {name: tf.stack([result[name] for result in results]) for name in results[0]}

        weight = tasks.get("query_weight", ())
        measured = engine.for_each(of_task, (tasks["query_y"], weight, predictions, kept), False)
        return {"loss": losses, **measured}

    def measure_names(self) -> list[str]:
        """The names of what is measured: `loss`, and then the compiled metrics in their order."""
        metrics = self._compile_metrics
        return ["loss", *(metrics.result() if metrics is not None and metrics.built else ())]

    def get_metrics_result(self):
        """The metrics, of all ranks."""
        with (
            distributed.together("the end of an epoch or evaluation"),
            summed_over_ranks(self.metrics),
        ):
            return super().get_metrics_result()

    def _prepare(self, x):
        """Checks meta-batches and builds for them; gives them with the shapes of the model."""
        if not isinstance(x, tf.data.Dataset):
            raise ArgumentError(
                "x", type(x).__name__, "give a tf.data.Dataset of meta-batches (dictionaries)."
            )
        if int(x.cardinality()) == 0:
            raise ArgumentError("x", "an empty data set", "give at least one meta-batch.")
        x = with_known_shapes(x, getattr(self.model, "inputs", None))
        spec = x.element_spec
        check_meta_batch(spec)
        self.build_for(
            tf.nest.map_structure(
                lambda leaf: tf.TensorSpec([1, *leaf.shape[2:]], leaf.dtype), spec["support_x"]
            )
        )
        prediction = self.functional().probe(example_specs(spec["query_x"])).output
        prediction = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec([1, *tensor.shape], tensor.dtype), prediction
        )
        # Keras's metrics make their variables when they are first updated. In the graph of a step
        # that would have it traced twice.
        self._build_metrics(spec["query_y"], prediction)
        if distributed.size() > 1:
            check_states_add_up(
                self._compile_metrics,
                example_specs(example_specs(spec["query_y"])),
                example_specs(example_specs(prediction)),
            )
            self.reset_metrics()
        return x

    def _build_metrics(self, y, prediction):
        """Has Keras's metrics make their variables.

        Args:
            y: labels of query sets, or their specs, [tasks, query examples, ...].
            prediction: likewise.
        """
        built = self._compile_loss.built
        if built and all(getattr(metric, "built", True) for metric in self.metrics):
            return
        one_task = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec([1, *leaf.shape[1:]], leaf.dtype), (y, prediction)
        )
        y, prediction = examples_like(one_task, axis=1)
        self._compile_loss(*tf.nest.map_structure(lambda leaf: leaf[0], (y, prediction)))
        self.measure(tf.zeros([1]), {"query_y": y}, prediction)
        self.reset_metrics()


def example_specs(tensors: Any) -> Any:
    """The specifications of one task's examples, given those of a batch of tasks, a nest."""
    return tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), tensors)
