"""Keras layers: normalization with exact derivatives, and convolution with faster ones."""

from tfmeta.layers.convolution import Conv2D
from tfmeta.layers.copies import check_copy, whole_copy
from tfmeta.layers.exchange import keras_copy, with_exact_normalization
from tfmeta.layers.normalization import (
    STATISTICS,
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    batch_dependent,
    exact_twin,
    finding_statistics,
    inexact_layers,
    leaving_statistics,
)

__all__ = [
    "STATISTICS",
    "BatchNormalization",
    "Conv2D",
    "GroupNormalization",
    "LayerNormalization",
    "batch_dependent",
    "check_copy",
    "exact_twin",
    "finding_statistics",
    "inexact_layers",
    "keras_copy",
    "leaving_statistics",
    "whole_copy",
    "with_exact_normalization",
]
