"""The interface of every update rule."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class UpdateRule(abc.ABC):
    """Turns the gradient of a task's loss into new weights; differentiable in all it is given.

    A rule holds no state of its own: what it remembers between inner steps is returned and given
    back, so that a rule can be run inside a graph, for many tasks, and be differentiated through.
    """

    @abc.abstractmethod
    def initial_state(self, weights: Sequence[tf.Tensor]) -> Any:
        """The state before the first inner step: a nest of tensors."""

    @abc.abstractmethod
    def update(
        self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], state: Any
    ) -> tuple[list[tf.Tensor], Any]:
        """One inner step.

        Args:
            weights: the tensors to move.
            gradients: of the task's loss, one of the shape and dtype of each weight.
            state: what the last step returned, or `initial_state`.

        Returns:
            The new weights, and the new state.
        """

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments that make this rule again."""
