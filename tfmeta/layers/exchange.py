"""Copies of models with other layers for some, which have the same weights."""

from typing import Any

import keras

from tfmeta.checks import check_choice
from tfmeta.errors import ArgumentError
from tfmeta.layers.configuration import Entry
from tfmeta.layers.convolution import Conv2D
from tfmeta.layers.copies import whole_copy
from tfmeta.layers.normalization import (
    STATISTICS,
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    inexact_layers,
)

NORMALIZATIONS = (BatchNormalization, LayerNormalization, GroupNormalization)


def with_exact_normalization(model: keras.Model, statistics: str = "running") -> keras.Model:
    """Copies a model, with exact layers in place of Keras's normalizations.

    They are exchanged wherever the configuration of the model tells of them: in functional and
    sequential models, in models and wrappers within these, and in classes that are given their
    layers. The copy predicts as the model does; only its second derivatives are others.

    Args:
        model: a built `keras.Model`. It is not changed.
        statistics: semantics of batch normalizations, see `BatchNormalization`. Keras's own are
            `"running"`.

    Returns:
        A model with the same layers and weights, not compiled.

    Raises:
        ArgumentError: the model cannot be copied, or a normalization cannot be exchanged.
    """
    check_choice("statistics", statistics, STATISTICS)

    def exchange(entry: Entry) -> None:
        for cls in NORMALIZATIONS:
            if (entry["module"], entry.get("class_name")) == ("keras.layers", cls.__name__):
                _put(entry, cls)
                if cls is BatchNormalization:
                    entry["config"]["statistics"] = statistics

    copy = whole_copy(model, exchange=exchange)
    inexact = inexact_layers(copy)
    if inexact:
        raise ArgumentError(
            "model",
            model.name,
            f"its layer {inexact[0].name} ({type(inexact[0]).__name__}) is made in the code of a "
            "class, where it cannot be exchanged; take it from tfmeta.layers there.",
        )
    return copy


def keras_copy(model: keras.Model, x: Any = None) -> keras.Model:
    """Copies a model that has been adapted, with Keras's own layers in place of tfmeta's.

    The copy can be opened where there is no tfmeta. Its batch normalizations predict with
    `moving_mean` and `moving_variance`, whatever `statistics` they had. So an answer to an example
    does not depend on its batch.

    Layers that a class makes in its own code stay what they are, and to open such a model takes
    tfmeta, which that code imports. Its batch normalizations do as all others, also after the copy
    has been saved and loaded.

    Args:
        model: any Keras model.
        x: an example, see `whole_copy`.

    Returns:
        A model with the same weights, not compiled.

    Raises:
        ArgumentError: the model cannot be copied.
    """
    copy = whole_copy(model, x, exchange=_to_keras)
    for layer in copy._flatten_layers():
        if isinstance(layer, BatchNormalization):
            layer.statistics = "running"
    return copy


def _to_keras(entry: Entry) -> None:
    for cls in (*NORMALIZATIONS, Conv2D):
        if entry.get("registered_name") == keras.saving.get_registered_name(cls):
            _put(entry, getattr(keras.layers, cls.__name__))
            entry["config"].pop("statistics", None)


def _put(entry: Entry, cls: type) -> None:
    """Makes the entry of a layer that of a layer of another class with the same arguments."""
    registered = keras.saving.get_registered_name(cls)
    own = registered != cls.__name__
    entry["module"] = cls.__module__ if own else "keras.layers"
    entry["class_name"] = cls.__name__
    entry["registered_name"] = registered if own else None
