"""Examples as people give them."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf


def as_tensors(nest: Any) -> Any:
    """Arrays, or dictionaries, lists and tuples of arrays, as tensors.

    Lists of numbers are arrays. Where a list holds arrays it stands for several inputs or outputs.
    """
    if isinstance(nest, dict):
        return {name: as_tensors(part) for name, part in nest.items()}
    if isinstance(nest, list | tuple) and any(
        isinstance(part, dict) or getattr(part, "ndim", 0) for part in nest
    ):
        return tuple(as_tensors(part) for part in nest)
    return tf.convert_to_tensor(np.asarray(nest) if isinstance(nest, list | tuple) else nest)


def largest(examples: Any) -> tf.Tensor:
    """The largest magnitude in a nest of tensors, float32; 0 where none of them is floating."""
    floats = [tensor for tensor in tf.nest.flatten(examples) if tensor.dtype.is_floating]
    sizes = [tf.cast(tf.reduce_max(tf.abs(tensor)), tf.float32) for tensor in floats]
    return tf.reduce_max(tf.stack([tf.zeros([]), *sizes]))


def warn_of_another_range(x: Any, usual: float) -> None:
    """Warns of examples that are not scaled as those that a learner was trained on.

    Args:
        x: tensors [examples, ...], a nest.
        usual: the largest magnitude of a task's examples in training; 0 where it is not known.
    """
    size = float(largest(x))
    if size and usual and not 0.1 <= size / usual <= 10:
        warnings.warn(
            f"x: its largest value is {size:.3g}, and in training that of a task was "
            f"{usual:.3g}; scale it as in training.",
            stacklevel=3,
        )
