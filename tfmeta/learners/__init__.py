"""Learners: one algorithm a file, each a `keras.Model`."""

from tfmeta.learners.maml import MAML

__all__ = ["MAML"]
