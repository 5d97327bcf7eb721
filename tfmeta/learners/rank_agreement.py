"""What ranks have to have in common before they `fit` or `evaluate`."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfmeta import distributed


def agree_to_fit(learner: keras.Model, x: tf.data.Dataset, kwargs: dict[str, Any]) -> None:
    """Every rank is about to `fit` the same, for as many steps.

    Raises:
        ArgumentError: what differs.
        RanksError: a rank is not about to `fit`.
    """
    first, epochs = kwargs.get("initial_epoch", 0), kwargs.get("epochs", 1)
    validated = "every {validation_freq} epochs".format(**{"validation_freq": 1, **kwargs})
    distributed.agree(
        "fit",
        {
            **_parts(learner),
            "optimizer": type(learner.optimizer).__name__,
            "epochs": f"{first} to {epochs}",
            "x": _meta_batches(x, kwargs.get("steps_per_epoch"), epochs - first),
            "validation_data": validated if kwargs.get("validation_data") is not None else "none",
        },
    )


def agree_to_evaluate(learner: keras.Model) -> None:
    """Every rank is about to `evaluate` the same; it may have as many meta-batches as it likes.

    Raises:
        ArgumentError: what differs.
        RanksError: a rank is not about to `evaluate`.
    """
    distributed.agree("evaluate", _parts(learner))


def _parts(learner: keras.Model) -> dict[str, str | None]:
    sizes = [math.prod(variable.shape) for variable in learner.variables]
    compiled = [m for metric in learner.metrics for m in getattr(metric, "metrics", [metric])]
    metrics = ", ".join(metric.name for metric in compiled)
    return {"model": f"{sum(sizes)} numbers in {len(sizes)} variables", "metrics": metrics}


def _meta_batches(x: tf.data.Dataset, steps: int | None, epochs: int) -> str | None:
    known = int(x.cardinality())
    if known == tf.data.UNKNOWN_CARDINALITY:
        return None
    endless = known == tf.data.INFINITE_CARDINALITY
    if steps is None:
        return "meta-batches without end" if endless else f"{known} meta-batches"
    if endless or known >= steps * epochs:
        return f"{steps} meta-batches an epoch"
    return f"{known} meta-batches in all"
