"""One call of a Keras model as a graph, of whose operations one can say which layer made them."""

import contextlib
import functools
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmeta.errors import ArgumentError

_MARK = re.compile(r"tfmeta_layer_(\d+)")


class Change(NamedTuple):
    """What a call does to a variable.

    Attributes:
        variable: the `keras.Variable`, or None where the model does not own it.
        value: the tensor that it is given.
    """

    variable: keras.Variable | None
    value: tf.Tensor


class Call(NamedTuple):
    """What one call of a model in training made of the graph it was called in.

    Attributes:
        outputs: the model's outputs, nested as the model nests them.
        losses: the model's own losses.
        changes: the variables that the call gives new values.
        layers: the model's layers, those within layers after them, as marks number them.
        unseeded: the layers that drew from Python's or NumPy's generator, inner ones first.
    """

    outputs: Any
    losses: list[tf.Tensor]
    changes: list[Change]
    layers: list[keras.layers.Layer]
    unseeded: list[keras.layers.Layer]

    def layer_of(self, *names: str) -> keras.layers.Layer | None:
        """The innermost layer that made an operation, or None if it lies between layers.

        Args:
            *names: of the operation, or of an error that cites it; then of those that it is in.
        """
        for name in names:
            marks = _MARK.findall(name)
            if marks:
                return self.layers[int(marks[-1])]
        return None


def in_graph(
    model: keras.Model, spec: Any, function: Callable[[Call, list[tf.Tensor]], Any]
) -> Any:
    """Calls a model in training, with tensors in place of its variables, in a graph of its own.

    Args:
        model: a built model.
        spec: `tf.TensorSpec` of its inputs, nested as the model nests them.
        function: makes the graph's results, given the call and the trainable weights.

    Returns:
        The graph as a function of the values of all variables, trainable ones first, and inputs.

    Raises:
        ArgumentError: a layer makes weights in this call.
    """
    variables = _variables(model)

    def traced(values, x):
        call = _call(model, list(zip(variables, values, strict=True)), x)
        if len(_variables(model)) != len(values):
            raise ArgumentError(
                "model",
                model.name,
                "one of its layers makes weights when it is first called; give it a build method, "
                "or call the model on an example first.",
            )
        return function(call, values[: len(model.trainable_variables)])

    specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
    return tf.function(traced, autograph=False).get_concrete_function(specs, spec)


def _variables(model):
    return [*model.trainable_variables, *model.non_trainable_variables]


def _call(model, mapping, x) -> Call:
    unseeded: list[keras.layers.Layer] = []
    with (
        _marked(model, unseeded) as layers,
        keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope,
    ):
        before = dict(scope.state_mapping)
        # As in Keras's own `fit`, a model need not take `training`.
        outputs = model.call(x, **({"training": True} if model._call_has_training_arg else {}))
        losses = list(model.losses)
    own = {id(variable): variable for variable, _ in mapping}
    changes = [
        Change(own.get(key), value)
        for key, value in scope.state_mapping.items()
        if value is not before.get(key)
    ]
    return Call(outputs, losses, changes, layers, unseeded)


@contextlib.contextmanager
def _marked(model: keras.Model, unseeded: list) -> Iterator[list[keras.layers.Layer]]:
    """Within it the operations of each layer have its number in their names.

    Keras's own name scopes do not tell `dense` when it is called again from `dense_1`.
    """
    layers = list(model._flatten_layers(include_self=False))
    before = [vars(layer).get("call") for layer in layers]
    for number, layer in enumerate(layers):
        # Past the bookkeeping of Keras, which would track the function as a part of the layer.
        object.__setattr__(layer, "call", _watched(layer, f"tfmeta_layer_{number}", unseeded))
    try:
        yield layers
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", own)


def _watched(layer, name, unseeded):
    function = layer.call

    @functools.wraps(function)
    def scoped(*args, **kwargs):
        before = _generators()
        with tf.name_scope(name):
            outputs = function(*args, **kwargs)
        if _generators() != before:
            unseeded.append(layer)
        return outputs

    return scoped


def _generators() -> tuple:
    """The state of the generators that draw when a graph is made, not when it runs."""
    of_numpy: Any = np.random.get_state()
    return random.getstate(), of_numpy[1].tobytes(), of_numpy[2:]
