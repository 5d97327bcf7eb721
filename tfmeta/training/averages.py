"""The averages of weights that an optimizer keeps."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np


@contextlib.contextmanager
def averaged(learner: keras.Model) -> Iterator[None]:
    """Within it a learner's weights are the averages of its optimizer (`use_ema`), if it has any.

    Args:
        learner: compiled. Afterwards its weights are again what they were.
    """
    optimizer = learner.optimizer
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    variables = learner.trainable_variables
    own = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)
