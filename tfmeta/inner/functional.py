"""A Keras model as a pure function of its weights, state and input."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.updates.objective import Objective, Weights

State = list[tf.Tensor]


class Probe(NamedTuple):
    """What one call of a model shows.

    Attributes:
        output: spec of the model's output.
        moving: indices, among the model's non-trainable variables, of the floating-point
            statistics that a call in training changes.
    """

    output: tf.TensorSpec
    moving: list[int]


class FunctionalModel:
    """Any Keras model, called with weights that are tensors rather than variables.

    Args:
        model: a built Keras model with one input and one output.
        loss: `(y, prediction)` to one loss per example, or to a scalar.
    """

    def __init__(self, model: keras.Model, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]):
        self.model = model
        self.loss = loss
        self.seeds = [
            index
            for index, variable in enumerate(model.non_trainable_variables)
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
        self, weights: Sequence[tf.Tensor], state: State, x: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, State, list[tf.Tensor]]:
        """The prediction, the state after the call, and the model's own losses (regularizers)."""
        return self.model.stateless_call(
            list(weights), list(state), x, training=training, return_losses=True
        )

    def loss_on(
        self,
        weights: Sequence[tf.Tensor],
        state: State,
        x: tf.Tensor,
        y: tf.Tensor,
        training: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, State]:
        """The mean loss over the examples plus the model's own losses.

        Returns:
            The loss (scalar, of the dtype of the weights), the prediction, the state after.
        """
        prediction, state, own = self.call(weights, state, x, training)
        loss = tf.reduce_mean(self.loss(y, prediction))
        dtype = weights[0].dtype
        return tf.add_n([tf.cast(term, dtype) for term in (loss, *own)]), prediction, state

    def objective(
        self,
        state: State,
        x: tf.Tensor,
        y: tf.Tensor,
        whole: Callable[[Weights], Weights] = list,
    ) -> Objective:
        """The objective of training on some examples; its `aux` is the state after the call.

        Args:
            state: of the non-trainable variables before the call.
            x: examples [examples, ...].
            y: their labels.
            whole: maps the weights that the objective takes to all trainable weights.

        Raises:
            ArgumentError: in `predict`, the model has losses of its own, which predictions lack.
        """

        def loss(weights):
            loss, _, after = self.loss_on(whole(weights), state, x, y, training=True)
            return loss, after

        def predict(weights):
            prediction, after, own = self.call(whole(weights), state, x, training=True)
            if own:
                raise ArgumentError(
                    "model",
                    self.model.name,
                    "steps that fit its predictions do not see its regularization losses; take "
                    "them out, or take another update rule.",
                )
            return prediction, after

        return Objective(loss, predict, y)

    def probe(self, x: tf.TensorSpec) -> Probe:
        """Calls the model once, in a graph of its own that never runs, to see what it does."""
        moving: list[int] = []

        def call(x):
            before = self.state()
            prediction, after, _ = self.call(self.weights(), before, x, training=True)
            for index, (old, new) in enumerate(zip(before, after, strict=True)):
                if new is not old and new.dtype.is_floating:
                    moving.append(index)
            return prediction

        output = tf.function(call, autograph=False).get_concrete_function(x).structured_outputs
        if not isinstance(output, tf.Tensor | tf.TensorSpec):
            raise ArgumentError("model", self.model.name, "give a model with one output tensor.")
        return Probe(tf.TensorSpec(output.shape, output.dtype), moving)
