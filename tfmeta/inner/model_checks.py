"""Whether a Keras model can be meta-learned, and if not, the sentence that says why."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.inner import exactness, habits, traced
from tfmeta.inner.exactness import Fault
from tfmeta.layers import exact_twin, with_exact_normalization

# What has been found right already: for each model, whether for second derivatives, of which
# variables, and which layers were trainable then.
_passed: weakref.WeakKeyDictionary[keras.Model, set] = weakref.WeakKeyDictionary()


def check(
    model: keras.Model,
    second_order: bool,
    spec: Any = None,
    instead: str = "or set first_order=True",
    adapting: Callable[[], Sequence[int]] | None = None,
) -> None:
    """Refuses a model that cannot be meta-learned, or whose meta-gradient would be wrong.

    A model is looked at once. Where the shapes of its inputs are not known yet, that is left to a
    later call.

    Args:
        model: the model.
        second_order: whether it will be differentiated twice.
        spec: `tf.TensorSpec` of its inputs, nested as the model nests them; by default those that
            the model says itself.
        instead: what else can be done where second derivatives are not exact.
        adapting: gives the trainable variables, by their index, that inner steps move; by default
            all.

    Raises:
        ArgumentError: it is no model of Keras 3, has nothing to train, computes in float16, has a
            layer that does what each task would have to undo, or, with second order, derivatives
            that are not exact.
    """
    _check_kind(model)
    for layer in model._flatten_layers():
        if layer.compute_dtype == "float16":
            raise ArgumentError(
                "model",
                model.name,
                f"its layer {layer.name} computes in float16, whose loss scaling does not pass "
                "through a meta-gradient; use the policy mixed_bfloat16.",
            )
    if not model.built:
        return
    if not model.trainable_variables:
        raise ArgumentError("model", model.name, "it has no trainable weights; unfreeze some.")
    spec = _inputs(model) if spec is None else spec
    places = tuple(adapting()) if adapting else None
    key = second_order, places, tuple(layer.trainable for layer in model._flatten_layers())
    passed = _passed.setdefault(model, set())
    if spec is None or key in passed:
        return
    _look(model, second_order, spec, instead, places)
    passed.add(key)


def _check_kind(model: Any) -> None:
    if isinstance(model, keras.Model):
        return
    kind = type(model)
    problem = "give a built keras.Model."
    if kind.__module__.partition(".")[0] == "tf_keras":
        problem = "it is a model of Keras 2; build it with the layers of Keras 3 (import keras)."
    raise ArgumentError("model", f"{kind.__module__}.{kind.__name__}", problem)


def _look(model, second_order, spec, instead, adapting) -> None:
    """Calls the model in a graph and says what is wrong with it."""

    def seen(call):
        habits.check(model, call)

    if second_order:
        fault = exactness.find_fault(model, spec, seen, adapting)
        if fault is not None:
            raise ArgumentError("model", model.name, _sentence(model, fault, instead))
    else:
        traced.in_graph(model, spec, lambda call, _: seen(call))


def _sentence(model: keras.Model, fault: Fault, instead: str) -> str:
    layer = fault.layer
    who = "its own call" if layer is None else f"its layer {layer.name} ({type(layer).__name__})"
    if fault.operation is not None:
        if fault.operation.startswith("Cudnn"):
            return (
                f"{who} computes by cuDNN, whose {fault.operation} has no derivative; give it "
                f"use_cudnn=False, {instead}."
            )
        return (
            f"{who} has no second derivative, for want of {fault.operation}'s; freeze what lies "
            f"before it, {instead}."
        )
    if layer is None or exact_twin(layer) is None:
        remedies = "compute it without tf.stop_gradient and tf.nn.moments"
    else:
        remedies = "take the layer of that name from tfmeta.layers"
        if _exchanges(model):
            remedies += ", or pass the model through tfmeta.layers.with_exact_normalization"
    return (
        f"the second derivative of {who} is not exact, since a gradient is stopped in it; "
        f"{remedies}, {instead}."
    )


def _exchanges(model: keras.Model) -> bool:
    """Whether `with_exact_normalization` can do with a model."""
    try:
        with tf.init_scope():
            with_exact_normalization(model)
    except ArgumentError:
        return False
    return True


def _inputs(model: keras.Model) -> Any:
    """The specification of a model's inputs, where it says what they are."""
    if getattr(model, "inputs", None) is None:
        return None
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), structure
    )
