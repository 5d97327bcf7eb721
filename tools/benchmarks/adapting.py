"""How long `adapt` takes, and what 1000 calls leave in memory."""

import resource
import statistics
import time
from typing import Any

import keras
import numpy as np

import tfmeta

WAYS, SHOTS = 5, 5


def adapting(blocks: int, steps: int) -> dict[str, Any]:
    """Milliseconds of a call of `adapt`, for a dense and a small convolutional network.

    Args:
        blocks: How often the calls of a kind are timed.
        steps: Calls at a time.
    """
    return {
        "dense": _measured(tfmeta.models.mlp((20,), WAYS, seed=0), (20,), blocks, steps),
        "conv4_8_filters": _measured(
            tfmeta.models.conv4((28, 28, 1), WAYS, filters=8, seed=0), (28, 28, 1), blocks, steps
        ),
    }


def _measured(network, shape, blocks, steps):
    learner = tfmeta.MAML(network, inner_learning_rate=0.1, inner_steps=5)
    learner.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).uniform(size=[WAYS * SHOTS, *shape]).astype("float32")
    y = np.arange(WAYS * SHOTS) % WAYS
    first, model = _timed(lambda: learner.adapt(x, y), 1)
    found: dict[str, list[float]] = {"into": [], "copy": []}
    for _ in range(blocks):
        found["into"].append(_timed(lambda: learner.adapt(x, y, into=model), steps)[0])
        found["copy"].append(_timed(lambda: learner.adapt(x, y), 1)[0])
    before = _memory()
    _timed(lambda: learner.adapt(x, y, into=model), 1000)
    return {
        "first_milliseconds": first,
        "into_milliseconds": statistics.median(found["into"]),
        "copy_milliseconds": statistics.median(found["copy"]),
        "megabytes_after_1000": _memory() - before,
    }


def _timed(work, times):
    started = time.perf_counter()
    for _ in range(times):
        made = work()
    return 1e3 * (time.perf_counter() - started) / times, made


def _memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
