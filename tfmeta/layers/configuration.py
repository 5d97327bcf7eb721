"""The configuration of a model, with what Keras's own leaves out: what is frozen, and dtypes."""

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from tfmeta.errors import ArgumentError
from tfmeta.layers.custom_objects import classes_of

# An object as `keras.saving.serialize_keras_object` writes it: a dictionary of `module`,
# `class_name`, `registered_name` and `config`.
Entry = dict[str, Any]


def serialize(model: keras.Model) -> dict[str, Any]:
    """The configuration of a model.

    Args:
        model: any Keras model.

    Returns:
        A dictionary for `deserialize`, which JSON can hold.
    """
    # Keras marks an object as shared when it meets it again, but in a copy of its configuration,
    # where it lies in a nested model. The second time everything has been met before.
    keras.saving.serialize_keras_object(model)
    config = keras.saving.serialize_keras_object(model)
    classes = classes_of(model)
    for entry in entries(config):
        _leave_out_what_is_not_taken(entry, classes)
    return {
        "model": config,
        "layers": [[layer.trainable, _policy_name(layer)] for layer in model._flatten_layers()],
        "variables": [variable.trainable for variable in model.variables],
    }


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> keras.Model:
    """The model of a configuration, with new weights.

    Args:
        config: by `serialize`.
        custom_objects: classes and functions that are not registered with Keras, by name.

    Raises:
        ArgumentError: it does not have the layers that the configuration tells of.
    """
    model = rebuilt(config, custom_objects)
    set_parts(model, config)
    return model


def entries(config: Any) -> Iterator[Entry]:
    """All objects of classes that Keras's configuration of an object tells of."""
    if isinstance(config, dict):
        if "module" in config and isinstance(config.get("config"), dict):
            yield config
        config = config.values()
    elif not isinstance(config, list | tuple):
        return
    for part in config:
        yield from entries(part)


def rebuilt(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None, safe_mode: bool = True
) -> keras.Model:
    """The model that Keras makes of a configuration, which `set_parts` completes."""
    # Layers that a class makes in its own code take the policy of the moment.
    policy = config["layers"][0][1]
    with _dtype_policy(policy), keras.saving.custom_object_scope(custom_objects or {}):
        return keras.saving.deserialize_keras_object(config["model"], safe_mode=safe_mode)


def set_parts(model: keras.Model, config: Mapping[str, Any]) -> None:
    """Sets dtype policies, and what is frozen.

    Raises:
        ArgumentError: the model does not have the layers that the configuration tells of.
    """
    layers, variables = model._flatten_layers(), model.variables
    for kind, found in (("layers", layers), ("variables", variables)):
        if len(found) != len(config[kind]):
            raise ArgumentError(
                "model",
                model.name,
                f"rebuilt from its configuration it has {len(found)} {kind} instead of "
                f"{len(config[kind])}; see that get_config of its classes tells of all layers, "
                "and that build makes all variables.",
            )
    for layer, (_, policy) in zip(layers, config["layers"], strict=True):
        if policy not in (None, _policy_name(layer)):
            layer.dtype_policy = policy
    # Setting a layer sets all within it, so the outer ones have to be right first.
    for _ in layers:
        for layer, (trainable, _) in zip(layers, config["layers"], strict=True):
            if layer.trainable != trainable:
                layer.trainable = trainable
    for variable, trainable in zip(variables, config["variables"], strict=True):
        if variable.trainable != trainable:
            variable.trainable = trainable


def _leave_out_what_is_not_taken(entry, classes):
    """Keras tells every class its name, dtype and whether to train, but not each takes them."""
    cls = classes.get(entry.get("registered_name"))
    of_keras = (keras.Model.from_config.__func__, keras.layers.Layer.from_config.__func__)
    if cls is None or getattr(cls.from_config, "__func__", None) not in of_keras:
        return
    parameters = inspect.signature(cls.__init__).parameters
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in {"name", "trainable", "dtype"} - parameters.keys():
            entry["config"].pop(name, None)


def _policy_name(layer):
    """The name of a layer's dtype policy; None where a name does not say all."""
    policy = layer.dtype_policy
    return policy.name if type(policy) is keras.dtype_policies.DTypePolicy else None


@contextlib.contextmanager
def _dtype_policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name or before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
