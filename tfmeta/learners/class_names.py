"""Labels that are names of classes."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta.errors import ArgumentError


def numbered(y: Any) -> tuple[Any, list[str] | None]:
    """Labels as class numbers, and the names of the classes in the order of these numbers.

    Args:
        y: names [examples] of any kind of text; or any other labels, which stay as they are.

    Returns:
        The labels, int32 [examples], and the names, sorted; None if they are no names.
    """
    if isinstance(y, dict | tf.Tensor) or not all(isinstance(name, str | bytes) for name in y):
        return y, None
    names, numbers = np.unique(
        [name.decode() if isinstance(name, bytes) else str(name) for name in y],
        return_inverse=True,
    )
    return numbers.astype(np.int32), [str(name) for name in names]


def check_class_numbers(argument: str, least: int, most: int, outputs: int) -> None:
    """Refuses class numbers that are none of the network's outputs.

    Raises:
        ArgumentError: naming them.
    """
    if not 0 <= least <= most < outputs:
        raise ArgumentError(
            argument,
            f"{least} to {most}",
            f"the network has {outputs} outputs; give class numbers from 0 to {outputs - 1}.",
        )
