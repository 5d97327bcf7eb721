"""The interface of every rule of inner steps."""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Rule(keras.layers.Layer, abc.ABC):
    """Says how weights move in an inner step; differentiable in all it is given.

    A rule is written for the weights of one task; the engine runs it for many. What it remembers
    between inner steps is returned and given back, and what it has learned (`parameters`) is an
    argument, so that a rule can be run inside a graph and be differentiated through in both.

    It is a Keras layer in order to hold the variables of its parameters (`trainable_variables`,
    made by `build`), and to be saved and loaded as part of a Keras model. A rule without parameters
    makes no variables.
    """

    def build(self, shapes: Sequence[Sequence[int]]) -> None:
        """Makes the variables of the parameters.

        Args:
            shapes: of the weights that the rule is to move. Most learned rules share their
                parameters among all weights and so ignore it.
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

    def parameters(self) -> list[tf.Tensor]:
        """The present values of `trainable_variables` as tensors."""
        return [tf.convert_to_tensor(variable.value) for variable in self.trainable_variables]


class UpdateRule(Rule):
    """Turns the gradient of a task's loss into new weights."""

    @abc.abstractmethod
    def update(
        self,
        parameters: Sequence[tf.Tensor],
        weights: Sequence[tf.Tensor],
        gradients: Sequence[tf.Tensor],
        state: Any,
    ) -> tuple[list[tf.Tensor], Any]:
        """One inner step.

        Args:
            parameters: tensors in the place of `trainable_variables`.
            weights: the tensors to move, of one task.
            gradients: of the task's loss, one of the shape and dtype of each weight.
            state: what the last step returned, or `initial_state`.

        Returns:
            The new weights, and the new state, of the same structure, shapes and dtypes.
        """
