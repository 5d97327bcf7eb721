"""Signature: the number of the family that the data gives each task."""

import tensorflow as tf

from tfmeta.clustering.signatures.base import Signature
from tfmeta.errors import ArgumentError


class Label(Signature):
    """The entry `family` of a task: clusters are the families themselves.

    Raises:
        ArgumentError: when called, the data gives none.
    """

    def __init__(self, dims: int, seed: int):
        super().__init__(1, seed)

    def __call__(self, learner, meta, tasks):
        if "family" not in tasks:
            raise ArgumentError(
                "clustering",
                "label",
                "the tasks carry no label (`family`); mix data sets, or take another signature.",
            )
        return tf.cast(tasks["family"][:, None], meta.weights[0].dtype)
