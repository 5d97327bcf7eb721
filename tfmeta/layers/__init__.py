"""Keras layers: normalization with exact derivatives, and convolution with faster ones."""

from tfmeta.layers.convolution import Conv2D
from tfmeta.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    inexact_layers,
    with_exact_normalization,
)

__all__ = [
    "BatchNormalization",
    "Conv2D",
    "GroupNormalization",
    "LayerNormalization",
    "inexact_layers",
    "with_exact_normalization",
]
