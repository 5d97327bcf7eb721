"""Normalisation layers whose second derivatives are exact."""

from tfmeta.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    inexact_layers,
    with_exact_normalization,
)

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "inexact_layers",
    "with_exact_normalization",
]
