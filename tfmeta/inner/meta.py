"""What one task begins with."""

from typing import NamedTuple

import tensorflow as tf


class Meta(NamedTuple):
    """The meta-parameters of one task.

    Attributes:
        weights: the initial weights, one tensor for each trainable variable of the model.
        parameters: of the update rule.
    """

    weights: list[tf.Tensor]
    parameters: list[tf.Tensor]
