"""Examples as people give them."""

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
