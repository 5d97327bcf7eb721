"""Variables that have other values for a while."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


@contextlib.contextmanager
def kept_values(variables: Sequence[keras.Variable]) -> Iterator[list[tf.Tensor]]:
    """Gives variables back, at its end, the values that they have now.

    Args:
        variables: what is set within the context.

    Yields:
        The values that are kept.
    """
    kept = [tf.convert_to_tensor(variable.value) for variable in variables]
    try:
        yield kept
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
