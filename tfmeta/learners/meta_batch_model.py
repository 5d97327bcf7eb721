"""A Keras model that is trained and evaluated on meta-batches of tasks, on any number of ranks."""

import abc
from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed
from tfmeta.errors import ArgumentError
from tfmeta.inner import keras_support
from tfmeta.inner.functional import FunctionalModel
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

    @abc.abstractmethod
    def functional(self) -> FunctionalModel:
        """The model as a pure function, with the compiled loss."""

    @abc.abstractmethod
    def build_parts(self) -> None:
        """Builds what depends on the shapes of the model's variables."""

    def call(self, inputs, training=None):
        """The model's prediction with its present weights."""
        return self.model(inputs, training=training)

    def build(self, input_shape=None):
        if not self.model.built:
            self.model(tf.zeros([1, *input_shape[1:]]))
            keras_support.check(self.model, second_order=not self.first_order)
        self.build_parts()

    def fit(self, x=None, **kwargs):
        """`keras.Model.fit` on a dataset of meta-batches; every rank calls it with its share.

        All ranks start from rank 0's weights and optimizer state. Callbacks run on every rank and
        at the end of an epoch are told the same numbers; those of Keras that write files run on
        rank 0 alone, and rank 0 alone shows progress.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.fit`.

        Raises:
            ArgumentError: on several ranks, a metric whose state does not add up over them, or a
                callback that cannot work there.
        """
        self._prepare(x)
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)
            distributed.broadcast([*self.variables, *self.optimizer.variables])
        # Keras would shuffle and, on a dataset, warn that it cannot.
        kwargs.setdefault("shuffle", False)
        return super().fit(x, **keras_support.for_this_rank(kwargs))

    def evaluate(self, x=None, **kwargs):
        """`keras.Model.evaluate` on a dataset of meta-batches; every rank calls it with its share.

        Args:
            x: `tf.data.Dataset` of meta-batches.
            **kwargs: as of `keras.Model.evaluate`.

        Returns:
            The loss and the metrics of the query sets after `test_inner_steps` inner steps.
        """
        self._prepare(x)
        return super().evaluate(x, **keras_support.for_this_rank(kwargs))

    def measure(
        self,
        losses: tf.Tensor,
        y: tf.Tensor,
        prediction: tf.Tensor,
        loss_weight: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Updates the metrics with a batch of this rank.

        Args:
            losses: [tasks], or their mean.
            y: labels of the query sets [tasks, query examples, ...].
            prediction: of the query sets [tasks, query examples, ...].
            loss_weight: what the losses count.

        Returns:
            The metrics of this rank so far.
        """
        y, prediction = (
            tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
            for tensor in (y, prediction)
        )
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(losses, sample_weight=loss_weight)
            else:
                metric.update_state(y, prediction)
        return super().get_metrics_result()

    def get_metrics_result(self):
        """The metrics, of all ranks."""
        with summed_over_ranks(self.metrics):
            return super().get_metrics_result()

    def _prepare(self, x):
        if not isinstance(x, tf.data.Dataset) or not isinstance(x.element_spec, dict):
            raise ArgumentError(
                "x", type(x).__name__, "give a tf.data.Dataset of meta-batches (dictionaries)."
            )
        if not self.built:
            self.build([None, *x.element_spec["support_x"].shape[2:]])
        several = distributed.size() > 1
        # Keras's metrics make their variables when they are first updated. In the graph of a step
        # that would have it traced twice.
        if several or not all(getattr(metric, "built", True) for metric in self.metrics):
            query_x, y = x.element_spec["query_x"], x.element_spec["query_y"]
            prediction = self.functional().probe(example_spec(query_x)).output
            self.measure(
                tf.zeros([1]),
                _zeros([1, *y.shape[1:]], y.dtype),
                _zeros([1, *prediction.shape], prediction.dtype),
            )
            if several:
                compiled = [m for metric in self.metrics for m in getattr(metric, "metrics", ())]
                check_states_add_up(
                    compiled, example_spec(example_spec(y)), example_spec(prediction)
                )
            self.reset_metrics()


def example_spec(x: tf.Tensor) -> tf.TensorSpec:
    """The specification of one task's examples, given those of a batch of tasks."""
    return tf.TensorSpec(x.shape[1:], x.dtype)


def _zeros(shape, dtype):
    """Zeros of a shape in which sizes may be unknown."""
    return tf.zeros([size or 1 for size in shape], dtype)
