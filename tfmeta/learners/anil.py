"""ANIL: only the head adapts."""

from collections.abc import Sequence
from typing import Any

import keras

from tfmeta.errors import ArgumentError
from tfmeta.learners.maml import MAML


@keras.saving.register_keras_serializable("tfmeta")
class ANIL(MAML):
    """Almost no inner loop (Raghu et al. 2020): MAML whose inner steps move the head alone.

    The outer steps move all weights. With features f_theta and head w:
    w_k+1 = w_k - alpha dL_S(w_k, f_theta) / dw; the meta-gradient is that of L_Q(w_K, f_theta) in
    theta and w_0 (section 4.1).

    Args:
        model: see `MAML`.
        inner_learning_rate: the rate of the inner steps; the head alone needs a larger one than all
            weights do.
        inner_steps: the number of inner steps in training.
        head: the names of the layers that adapt; None for the last layer with weights.
        **kwargs: of `MAML`.

    Raises:
        ArgumentError: the model has no such layer, or it has no trainable weights.
    """

    def __init__(
        self,
        model: keras.Model,
        inner_learning_rate: float = 0.01,
        inner_steps: int = 1,
        head: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        self.head = None if head is None else list(head)
        super().__init__(model, inner_learning_rate, inner_steps, **kwargs)

    def adapting(self):
        layers = self.model._flatten_layers(include_self=False)
        layers = [layer for layer in layers if layer.trainable_variables]
        leaves = [layer for layer in layers if not list(layer._flatten_layers(include_self=False))]
        chosen = leaves[-1:] if self.head is None else _named(layers, self.head)
        moving = {id(variable) for layer in chosen for variable in layer.trainable_variables}
        variables = self.model.trainable_variables
        places = [place for place, variable in enumerate(variables) if id(variable) in moving]
        if not places:
            raise ArgumentError(
                "model", self.model.name, "it has no layer with trainable weights; give it a head."
            )
        return places

    def get_config(self):
        head = None if self.head is None else list(self.head)
        return {**super().get_config(), "head": head}


def _named(layers, names):
    by_name = {layer.name: layer for layer in layers}
    for name in names:
        if name not in by_name:
            raise ArgumentError(
                "head", name, f"the layers with trainable weights are {', '.join(by_name)}."
            )
    return [by_name[name] for name in names]
