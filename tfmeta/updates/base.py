"""The interface of every update rule: how weights move in an inner step."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfmeta.engine import gradients_of
from tfmeta.errors import ArgumentError
from tfmeta.updates.objective import Objective, Weights


class Step(NamedTuple):
    """The outcome of one inner step.

    Attributes:
        loss: before the step, a scalar.
        aux: what else the objective computed.
        weights: after the step.
        state: of the rule, after the step.
    """

    loss: tf.Tensor
    aux: Any
    weights: Weights
    state: Any


class UpdateRule(keras.layers.Layer, abc.ABC):
    """Moves the weights of one task in an inner step; differentiable in all it is given.

    A rule is written for the weights of one task; the engine runs it for many. What it remembers
    between inner steps is returned and given back, and what it has learned (`parameters`) is an
    argument, so that a rule can be run inside a graph and be differentiated through in both.

    It is a Keras layer in order to hold the variables of its parameters (`trainable_variables`,
    made by `build`), and to be saved and loaded as part of a Keras model. A rule without parameters
    makes no variables.

    Attributes:
        gives_evidence: whether `log_evidence` returns a tensor.
    """

    gives_evidence = False

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Makes the variables of the parameters.

        Args:
            shapes: of the weights that the rule is to move. Most learned rules share their
                parameters among all weights and ignore it.
        """
        self.built = True

    @abc.abstractmethod
    def initial_state(
        self, parameters: Sequence[tf.Tensor], weights: Sequence[tf.Tensor], seed: tf.Tensor
    ) -> Any:
        """The state before the first inner step.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            weights: of one task.
            seed: int32 [2], makes what a rule draws at random.

        Returns:
            A nest of tensors.
        """

    @abc.abstractmethod
    def step(
        self,
        parameters: Sequence[tf.Tensor],
        objective: Objective,
        weights: Sequence[tf.Tensor],
        state: Any,
        *,
        first_order: bool = False,
    ) -> Step:
        """One inner step.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            objective: of the task, at this step.
            weights: the tensors to move, of one task.
            state: what the last step returned, or `initial_state`.
            first_order: let no derivative through what the step is computed from.

        Returns:
            The `Step`; its state has the structure, shapes and dtypes of `state`.
        """

    def check(self, loss: Any) -> None:
        """Refuses a loss whose inner steps the rule cannot take; by default it takes any.

        Args:
            loss: a Keras loss, its name, or a function of labels and predictions.

        Raises:
            ArgumentError: naming `loss`.
        """

    def log_evidence(
        self, parameters: Sequence[tf.Tensor], objective: Objective, weights: Sequence[tf.Tensor]
    ) -> tf.Tensor | None:
        """The log probability of the targets before any step, if the rule gives them one.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            objective: with the targets.
            weights: the initial weights of the task.

        Returns:
            The mean over the targets, a scalar in nats; None where there is none.
        """
        return None

    def parameters(self) -> list[tf.Tensor]:
        """The present values of `trainable_variables` as tensors."""
        return [tf.convert_to_tensor(variable.value) for variable in self.trainable_variables]


class GradientRule(UpdateRule):
    """An update rule that sees nothing of a task but the gradient of its loss."""

    @abc.abstractmethod
    def update(
        self,
        parameters: Sequence[tf.Tensor],
        weights: Sequence[tf.Tensor],
        gradients: Sequence[tf.Tensor],
        state: Any,
    ) -> tuple[Weights, Any]:
        """Moves the weights along a gradient.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            weights: the tensors to move, of one task.
            gradients: of the task's loss, one of the shape and dtype of each weight.
            state: what the last update returned, or `initial_state`.

        Returns:
            The new weights, and the new state, of the same structure, shapes and dtypes.
        """

    def hold(self, held: Sequence[tf.Tensor], before: Any, after: Any) -> Any:
        """The state after an update in which some coordinates had no part.

        By default the whole state goes on, which is right for a rule that remembers nothing of
        single coordinates; `tfmeta.updates.coordinates` helps the others.

        Args:
            held: bool, one of the shape of each weight: which coordinates had no gradient.
            before: the state before the update.
            after: the state that `update` returned.

        Returns:
            The state `after`, but that what is remembered of the held coordinates is as `before`.
        """
        return after

    def step(self, parameters, objective, weights, state, *, first_order=False):
        weights = list(weights)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss, aux = objective.loss(weights)
        gradients = gradients_of(tape, loss, weights)
        if first_order:
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        return Step(loss, aux, *self.update(parameters, weights, gradients, state))


def check_number_of_weights(weights: Sequence[tf.Tensor], expected: int, what: str) -> None:
    """Refuses weights for which a rule has no parameters.

    Args:
        weights: of a task.
        expected: the number of weight tensors that the rule was built for.
        what: its parameters are, such as "rates".

    Raises:
        ArgumentError: naming `weights`.
    """
    if len(weights) != expected:
        raise ArgumentError(
            "weights", len(weights), f"there are {what} for {expected}; take a new rule."
        )
