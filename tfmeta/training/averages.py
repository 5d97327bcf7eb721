"""The averages of weights that an optimizer keeps."""

import contextlib
from collections.abc import Iterator

import keras

from tfmeta import engine


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
    with engine.kept_values(learner.trainable_variables):
        optimizer.finalize_variable_values(learner.trainable_variables)
        yield
