"""Whole copies of Keras models.

A copy is rebuilt from the configuration, as by Keras's `load_model`, and then given all that a
configuration leaves out: weights and statistics, seeds, the vocabularies and tables of lookup
layers, which parts are frozen, and the dtype policies of layers that a model makes for itself.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Keras offers no public way to keep a layer one that two nested models share.
from keras.src.saving.serialization_lib import ObjectSharingScope

from tfmeta.errors import ArgumentError
from tfmeta.layers.configuration import Entry, entries, rebuilt, serialize, set_parts
from tfmeta.layers.custom_objects import check_uses, classes_of, functions_of, named_apart


def whole_copy(
    model: keras.Model, x: Any = None, exchange: Callable[[Entry], None] | None = None
) -> keras.Model:
    """Copies a model: same layers, weights, state, frozen parts; nothing is shared.

    Args:
        model: any Keras model. It is not changed.
        x: an example, by which a model is built that Keras cannot build from its configuration.
        exchange: changes the configuration of a layer in place, to have another layer for it, with
            the same variables. It sees every layer that the configuration of the model tells of:
            not those that a class makes in its own code.

    Returns:
        A model that is not compiled.

    Raises:
        ArgumentError: Keras cannot rebuild the model from its configuration; or a function or an
            operation in it uses a part of it that it was not given as an argument.
    """
    try:
        check_uses(model)
        with warnings.catch_warnings(), ObjectSharingScope():
            # That lambdas are unsafe to load, and that a model is not built, is dealt with here.
            warnings.simplefilter("ignore")
            with named_apart(functions_of(model)) as functions:
                config = copy.deepcopy(serialize(model))
            for entry in entries(config["model"]):
                entry.pop("compile_config", None)
                if exchange is not None:
                    exchange(entry)
            made = rebuilt(config, {**classes_of(model), **functions}, safe_mode=False)
        if x is not None and len(made.variables) < len(model.variables):
            made(x)
        set_parts(made, config)
        _fill(made, model)
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError("model", model.name, _why_not(model, error)) from error
    return made


def check_copy(model: keras.Model, x: Any) -> None:
    """Refuses a model whose copy would answer otherwise than the model does.

    Args:
        model: any Keras model.
        x: an example.

    Raises:
        ArgumentError: the copy answers otherwise, or there is none.
    """

    def answers(model):
        with keras.StatelessScope():  # which drops what the call changes
            outputs = keras.tree.flatten(model(x))
        return [np.asarray(y.numpy(), np.float64) for y in outputs if y.dtype.is_floating]

    def differ(one, other):
        return not all(
            np.allclose(a, b, rtol=0, atol=1e-3 * np.abs(a).max(), equal_nan=True)
            for a, b in zip(one, other, strict=True)
        )

    copied, expected = whole_copy(model, x), answers(model)
    drawn_at_random = differ(expected, answers(model))
    if not drawn_at_random and differ(expected, answers(copied)):
        raise ArgumentError(
            "model",
            model.name,
            "a copy by its configuration answers otherwise, so a part keeps something of its own; "
            "see that get_config tells of all settings, and keep values in add_weight.",
        )


def _fill(target, source):
    """Gives `target` the variables of `source`, and what layers keep besides."""
    for new, old in zip(target.variables, source.variables, strict=True):
        if (new.shape, new.dtype) != (old.shape, old.dtype):
            raise ArgumentError(
                "model",
                source.name,
                f"rebuilt from its configuration its variable {old.path} is {new.dtype} "
                f"{list(new.shape)} instead of {old.dtype} {list(old.shape)}; see that get_config "
                "of its classes gives all arguments.",
            )
        new.assign(old.value)
    # Keras exports as ONNX only what has been called, although to have been built is enough.
    target._called = target.built
    for new, old in zip(target._flatten_layers(), source._flatten_layers(), strict=True):
        own: dict[str, Any] = {}
        old.save_own_variables(own)
        new.load_own_variables({name: _as_saved(value) for name, value in own.items()})
        for name, variable in vars(old).items():
            if isinstance(variable, tf.Variable):  # which Keras does not know of
                getattr(new, name).assign(variable)
        if hasattr(old, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)


def _as_saved(value):
    return value.numpy() if hasattr(value, "numpy") else value


def _why_not(model, error):
    """Why a model cannot be copied."""
    owners: dict[int, keras.Model] = {}
    for owner in model._flatten_layers():
        # Sequential and functional models have inputs.
        for layer in owner.layers if getattr(owner, "inputs", None) else ():
            if owners.setdefault(id(layer), owner) is not owner:
                return (
                    f"its layer {layer.name} belongs to {owners[id(layer)].name} and to "
                    f"{owner.name}, which Keras cannot rebuild; make a model of that layer and "
                    "call it in both."
                )
    while error.__context__ is not None:
        error = error.__context__
    reason = " ".join(str(error).split()).split(". ")[0]
    return (
        f"it cannot be copied from its configuration ({reason}); see that get_config and "
        "from_config of its classes give an equal model."
    )
