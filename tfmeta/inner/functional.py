"""A Keras model as a pure function of its weights, state and input."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras.src.backend import get_keras_mask, set_keras_mask

from tfmeta import layers
from tfmeta.errors import ArgumentError
from tfmeta.updates.objective import Objective, Weights

State = list[tf.Tensor]


class Probe(NamedTuple):
    """What one call of a model shows.

    Attributes:
        output: specs of the model's output, a nest.
        masks: specs of the masks that the tensors of the output carry, flat; None without one.
        moving: indices, among the model's non-trainable variables, of the floating-point
            statistics that a call in training changes.
        draws: whether random layers draw in training; not all that can do: an LSTM without dropout.
    """

    output: Any
    masks: list[tf.TensorSpec | None]
    moving: list[int]
    draws: bool

    @property
    def flat(self) -> list[tf.TensorSpec]:
        """Specs of `flat_prediction`."""
        return [*tf.nest.flatten(self.output), *(m for m in self.masks if m is not None)]

    def predicted(self, tensors: Sequence[tf.Tensor]) -> Any:
        """The prediction, with its masks, of which `flat_prediction` gave these tensors."""
        tensors, count = list(tensors), len(tf.nest.flatten(self.output))
        masks = iter(tensors[count:])
        return masked(
            tf.nest.pack_sequence_as(self.output, tensors[:count]),
            [None if mask is None else next(masks) for mask in self.masks],
        )


class Examples(NamedTuple):
    """Some examples of a task.

    Attributes:
        x: what the model is given, a nest of tensors [examples, ...].
        y: their labels, a nest of tensors [examples, ...].
        weight: what each counts in the loss, [examples], or a nest of such; None for 1.
    """

    x: Any
    y: Any
    weight: Any = None


class FunctionalModel:
    """Any Keras model, called with weights that are tensors rather than variables.

    Args:
        model: a built Keras model.
        loss: maps `(y, prediction, weight)` to a scalar, such as a `CompiledLoss`.
    """

    def __init__(self, model: keras.Model, loss: Callable[[Any, Any, Any], tf.Tensor]):
        self.model = model
        self.loss = loss
        self._probes: dict[Any, Probe] = {}

    @property
    def seeds(self) -> list[int]:
        """The places of random generators among the non-trainable variables."""
        return [
            index
            for index, variable in enumerate(self.model.non_trainable_variables)
            if variable.name == "seed_generator_state"
        ]

    def weights(self) -> list[tf.Tensor]:
        """The trainable variables as tensors."""
        return [tf.convert_to_tensor(v.value) for v in self.model.trainable_variables]

    def state(self) -> State:
        """The non-trainable variables as tensors: statistics, seeds, frozen weights."""
        return [tf.convert_to_tensor(v.value) for v in self.model.non_trainable_variables]

    def seeded(self, state: State, seed: tf.Tensor) -> State:
        """`state` with every random generator of the model started from a task's own seed.

        Args:
            state: the non-trainable variables.
            seed: int32 [2].
        """
        state = list(state)
        for number, index in enumerate(self.seeds):
            own = tf.random.fold_in(seed, number, alg="philox")
            state[index] = tf.cast(own, state[index].dtype)
        return state

    def call(
        self, weights: Sequence[tf.Tensor], state: State, x: Any, training: bool
    ) -> tuple[Any, State, list[tf.Tensor]]:
        """The prediction, the state after the call, and the model's own losses (regularizers)."""
        # As in Keras's own `fit`, a model need not take `training`.
        call, variables = self.model.stateless_call, (list(weights), list(state))
        if not self.model._call_has_training_arg:
            return call(*variables, x, return_losses=True)
        return call(*variables, x, training=training, return_losses=True)

    def loss_on(
        self, weights: Sequence[tf.Tensor], state: State, examples: Examples, training: bool
    ) -> tuple[tf.Tensor, Any, State]:
        """The loss of the examples plus the model's own losses.

        Returns:
            The loss (scalar, of the dtype of the weights), the prediction, the state after.
        """
        prediction, state, own = self.call(weights, state, examples.x, training)
        loss = self.loss(examples.y, prediction, examples.weight)
        dtype = weights[0].dtype
        return tf.add_n([tf.cast(term, dtype) for term in (loss, *own)]), prediction, state

    def objective(
        self,
        state: State,
        examples: Examples,
        whole: Callable[[Weights], Weights] = list,
    ) -> Objective:
        """The objective of training on some examples; its `aux` is the state after the call.

        Args:
            state: of the non-trainable variables before the call.
            examples: to train on.
            whole: maps the weights that the objective takes to all trainable weights.

        Raises:
            ArgumentError: in `predict`, the model has losses of its own, which predictions lack.
        """

        def loss(weights):
            loss, _, after = self.loss_on(whole(weights), state, examples, training=True)
            return loss, after

        def predict(weights):
            prediction, after, own = self.call(whole(weights), state, examples.x, training=True)
            if own:
                raise ArgumentError(
                    "model",
                    self.model.name,
                    "steps that fit its predictions do not see its regularization losses; take "
                    "them out, or take another update rule.",
                )
            return prediction, after

        return Objective(loss, predict, examples.y)

    def support_statistics(
        self, weights: Sequence[tf.Tensor], state: State, x: Any, training: bool
    ) -> State:
        """`state` with the statistics of these examples in the layers that can keep them.

        Args:
            weights: of the trainable variables.
            state: of the others.
            x: the support examples of a task.
            training: whether other layers are called as in training.
        """
        with layers.leaving_statistics():
            return self.call(weights, state, x, training)[1]

    @property
    def batch_dependent(self) -> bool:
        """Whether layers normalize by the statistics of a set of examples."""
        return bool(layers.batch_dependent(self.model))

    @property
    def takes_support_statistics(self) -> bool:
        """Whether some of these predict a query set with the statistics of the support set."""
        return any(layer.statistics == "support" for layer in layers.batch_dependent(self.model))

    def probe(self, x: Any) -> Probe:
        """Calls the model once, in a graph of its own that never runs, to see what it does.

        Args:
            x: `tf.TensorSpec`s of some examples, a nest.
        """
        key = tuple(tf.nest.flatten(x)), len(self.model.trainable_variables)
        if key not in self._probes:
            self._probes[key] = self._probed(x)
        return self._probes[key]

    def _probed(self, x):
        moving: list[int] = []
        drawn: list[int] = []

        def call(x):
            before = self.state()
            prediction, after, _ = self.call(self.weights(), before, x, training=True)
            for index, (old, new) in enumerate(zip(before, after, strict=True)):
                if new is not old and new.dtype.is_floating:
                    moving.append(index)
            drawn.extend(index for index in self.seeds if after[index] is not before[index])
            return prediction, masks_of(prediction)

        prediction = tf.function(call, autograph=False).get_concrete_function(x)
        output, masks = prediction.structured_outputs
        output, masks = (
            tf.nest.map_structure(
                lambda t: None if t is None else tf.TensorSpec(t.shape, t.dtype), nest
            )
            for nest in (output, masks)
        )
        return Probe(output, masks, moving, bool(drawn))


def masks_of(prediction: Any) -> list[tf.Tensor | None]:
    """The masks that the tensors of a prediction carry, flat; None without one."""
    return [get_keras_mask(tensor) for tensor in tf.nest.flatten(prediction)]


def masked(prediction: Any, masks: Sequence[tf.Tensor | None]) -> Any:
    """A prediction whose tensors carry these masks, where Keras's losses and metrics look."""
    for tensor, mask in zip(tf.nest.flatten(prediction), masks, strict=True):
        if mask is not None:
            set_keras_mask(tensor, mask)
    return prediction


def flat_prediction(prediction: Any) -> list[tf.Tensor]:
    """The tensors of a prediction, and then those of their masks that there are."""
    masks = masks_of(prediction)
    return [*tf.nest.flatten(prediction), *(mask for mask in masks if mask is not None)]


def map_prediction(function: Callable[[tf.Tensor], tf.Tensor], prediction: Any) -> Any:
    """A function of the tensors of a prediction and of their masks."""
    masks = [None if mask is None else function(mask) for mask in masks_of(prediction)]
    return masked(tf.nest.map_structure(function, prediction), masks)


def last_step(predictions: Any) -> Any:
    """Predictions [tasks, ...] of predictions [tasks, steps + 1, ...]."""
    return map_prediction(lambda tensor: tensor[:, -1], predictions)
