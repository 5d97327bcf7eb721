"""Training any Keras model as an optimization problem."""

import copy
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmeta import engine, random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.inner import model_checks
from tfmeta.inner.compiled_loss import CompiledLoss
from tfmeta.inner.functional import Examples, FunctionalModel
from tfmeta.problems.base import ProblemFamily
from tfmeta.problems.in_memory import in_memory, in_outermost_graph


class KerasModelProblems(ProblemFamily):
    """Training a Keras model on a data set of the user's.

    All problems share the data and differ in their first weights and their batches. A weight whose
    layer has a random initializer for it is drawn from that anew for each problem; any other, such
    as a bias, starts as it stands in the model, which should therefore be fresh. The model itself
    is not changed.

    The batch of a step is one of those of the data set, by the seed of the step, and random layers
    such as dropout draw from the same seed. The data is held in memory: all batches but a last,
    smaller one, which is left out with a warning. Statistics that layers move in
    training are not carried from step to step. A model that has them is measured (`full_loss`,
    `held_out_loss`, `score`) as in training, so that each batch normalizes itself; any other as in
    inference.

    Where there is held-out data, labels are class numbers, and the model has an output for each
    class, `score` is the accuracy.

    Args:
        model: a built Keras model with one input and one output tensor.
        loss: a Keras loss, its name, or a function of y and the prediction, to one loss per example
            or a scalar; not negative.
        dataset: of batches (x, y) of one shape, of a known length that memory holds.
        held_out: likewise, never used for training; None for none.
        vectorizable: whether many problems can run at once: for small dense models without
            random layers, see `engine.vectorize`.
        seed: seed of the problems.

    Raises:
        ArgumentError: the model is not built, has nothing to train, computes in float16, has
            several inputs or outputs, or has a layer that cannot be learned through, see
            `model_checks.check`; or a data set is endless, of unknown length, or too large for
            the memory, has no batches, or batches of other elements or of several shapes.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        dataset: tf.data.Dataset,
        held_out: tf.data.Dataset | None = None,
        vectorizable: bool = False,
        seed: int = 0,
    ):
        super().__init__(seed)
        _check(model, None)
        self.name, self.vectorizable = model.name, vectorizable
        self.functional = FunctionalModel(model, CompiledLoss(loss))
        # Made outside any graph, so that all graphs share them.
        with tf.init_scope():
            self._training = in_memory(dataset, "dataset")
            self._held_out = None if held_out is None else in_memory(held_out, "held_out")
        x, y = self._training
        examples = tf.TensorSpec(x.shape[1:], x.dtype)
        _check(model, examples)
        probe = self.functional.probe(examples)
        if not isinstance(probe.output, tf.TensorSpec):
            raise ArgumentError("model", model.name, "give a model with one output tensor.")
        self._measured_as_in_training = bool(probe.moving)
        *examples, classes = probe.output.shape
        one_each = y.shape[1:].num_elements() == tf.TensorShape(examples).num_elements()
        if held_out is not None and y.dtype.is_integer and one_each and classes > 1:
            self.metric = "accuracy"
        self._initializers = _initializers(model)

    def tasks(self, seeds):
        own = self.functional.weights()

        def start(seeds):
            return [
                _drawn(initialize, weight, seeds[number]) if initialize else weight
                for number, (weight, initialize) in enumerate(
                    zip(own, self._initializers, strict=True)
                )
            ]

        seeds = random_numbers.fold_in(seeds[:, None], tf.range(len(own)))
        specs = [tf.TensorSpec(weight.shape, weight.dtype) for weight in own]
        return {"weights": tf.map_fn(start, seeds, fn_output_signature=specs), "data": ()}

    def loss(self, weights, data, seed):
        x, y = in_outermost_graph(lambda: self._training)
        draw = random_numbers.uniform(random_numbers.fold_in(seed, 0), ())
        index = tf.cast(draw * x.shape[0], tf.int32)
        own = random_numbers.fold_in(seed, 1)
        return self._call(weights, tf.gather(x, index), tf.gather(y, index), True, own)[0]

    def full_loss(self, weights, data):
        return self._mean(self._measured_loss, weights, self._training)

    def held_out_loss(self, weights, data):
        return self._mean(self._measured_loss, weights, self._held_out or self._training)

    def score(self, weights, data):
        if self.metric is None:
            return super().score(weights, data)
        return self._mean(self._accuracy, weights, self._held_out)

    def _mean(self, function, weights, batches):
        each = engine.for_each(
            lambda batch: function(weights, *batch),
            in_outermost_graph(lambda: batches),
            self.vectorizable,
            in_flight=1,
        )
        return tf.reduce_mean(each)

    def _measured_loss(self, weights, x, y):
        return self._call(weights, x, y, self._measured_as_in_training)[0]

    def _accuracy(self, weights, x, y):
        prediction = self._call(weights, x, y, self._measured_as_in_training)[1]
        chosen = tf.argmax(prediction, axis=-1)
        right = chosen == tf.reshape(tf.cast(y, chosen.dtype), tf.shape(chosen))
        return tf.reduce_mean(tf.cast(right, weights[0].dtype))

    def _call(self, weights, x, y, training, seed=(0, 0)):
        state = in_outermost_graph(self.functional.state)
        state = self.functional.seeded(state, tf.convert_to_tensor(seed))
        return self.functional.loss_on(weights, state, Examples(x, y), training)[:2]


class _GivenSeed(keras.random.SeedGenerator):
    """What Keras's initializers draw from, giving one seed that is a tensor.

    Args:
        seed: int32 `[2]`.
    """

    def __init__(self, seed: tf.Tensor):
        # Keras's own would make a variable, which no graph can do for each problem.
        self.seed = seed

    def next(self, ordered=True):
        return self.seed


def _drawn(initializer: Any, like: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """What a random initializer gives for a seed, in the shape and type of a weight."""
    initializer = copy.copy(initializer)
    initializer.seed = _GivenSeed(seed)
    return initializer(tuple(like.shape), like.dtype.name)


def _check(model: keras.Model, spec: tf.TensorSpec | None) -> None:
    if isinstance(model, keras.Model) and not model.built:
        raise ArgumentError("model", model.name, "it has no weights yet; build it first.")
    if len(getattr(model, "inputs", None) or ()) > 1:
        raise ArgumentError("model", model.name, "give a model with one input tensor.")
    model_checks.check(model, True, spec, instead="or freeze it")


def _initializers(model: keras.Model) -> list[Any]:
    """For each trainable variable the random initializer of its layer, or None."""
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        for variable in layer.trainable_variables:
            # A layer lists the variables of its own layers too, which have another initializer;
            # these come later, and put theirs in its place.
            found[id(variable)] = _initializer(layer, variable.name)
    return [found[id(variable)] for variable in model.trainable_variables]


def _initializer(layer: keras.layers.Layer, name: str) -> Any:
    # The initializer of `recurrent_kernel` is called `recurrent_initializer`, and that of the
    # `kernel` of a depthwise convolution `depthwise_initializer`.
    for part in (name, name.removesuffix("_kernel"), "depthwise"):
        initializer = getattr(layer, f"{part}_initializer", None)
        if initializer is not None:
            return initializer if hasattr(initializer, "seed") else None
    return None
