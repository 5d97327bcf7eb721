"""The networks of the papers, as Keras models."""

from tfmeta.models.convnet import conv4
from tfmeta.models.mlp import mlp

__all__ = ["conv4", "mlp"]
