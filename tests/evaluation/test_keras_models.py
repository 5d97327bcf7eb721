"""Keras models and their data, and learned optimizers beside Adam on them."""

import json
import math

import keras
import numpy as np
import pytest

from tfmeta.data.glyphs import glyphs
from tfmeta.evaluation.keras_comparison import compare_on_keras, rows
from tfmeta.evaluation.keras_models import KERAS_TASKS
from tfmeta.tools.compare_on_keras import MODELS

# What a model that knows nothing has for a loss.
IGNORANCE = {"digits": math.log(10), "regression": 1.0, "transformer": math.log(90)}


def test_the_program_knows_all_models():
    assert list(KERAS_TASKS) == list(MODELS)
    needing = {name for name, task in KERAS_TASKS.items() if task.needs_images}
    assert needing == {name for name in MODELS if name.startswith("image")}


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_divides_the_data_and_starts_a_model_for_it(name):
    task, images = KERAS_TASKS[name], glyphs(classes=12, examples=5, size=8)
    data, again, other = (task.data(seed, images) for seed in (1, 1, 2))
    for part, same in zip(data, again, strict=True):
        np.testing.assert_array_equal(part, same)
    assert (data.x != other.x).any()
    assert len(data.x) == len(data.y) > 3 * len(data.held_out_x) > 0
    seen = {example.tobytes() for example in data.x}
    unseen = sum(example.tobytes() not in seen for example in data.held_out_x)
    assert unseen > 0.9 * len(data.held_out_x)  # drawn characters may be alike
    model = task.model(data)
    outputs = model(data.x[:3])
    assert outputs.shape[0] == 3 and outputs.shape[-1] > data.y.max() * task.classifies
    if name == "transformer":
        np.testing.assert_array_equal(data.x[:, 1:], data.y[:, :-1])
        changed = data.x[:1].copy()
        changed[0, 40] = (changed[0, 40] + 1) % 5
        moved = np.abs(model(changed) - model(data.x[:1]))[0].max(axis=-1)
        assert moved[:40].max() < 1e-5 < moved[40], "it sees what is to come"


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("regression", "transformer")),
    ],
)
def test_training_lowers_both_losses(name):
    task = KERAS_TASKS[name]
    ended = task.train(task.data(0, None), keras.optimizers.Adam(0.01), 0)
    assert 0 < ended["loss"] < 0.8 * IGNORANCE[name]
    assert ended["held_out_loss"] < 0.9 * IGNORANCE[name]
    assert ("held_out_accuracy" in ended) == task.classifies
    if task.classifies:
        assert 20 < ended["held_out_accuracy"] <= 100


@pytest.mark.slow
def test_adam_beside_adam():
    """One that is Adam is neither better nor worse; one that diverges has lost."""
    learned = {
        "same": lambda rate: keras.optimizers.Adam(1e-3 / rate),
        "diverging": lambda rate: keras.optimizers.SGD(1e30),
    }
    results = compare_on_keras(KERAS_TASKS["regression"], learned, range(2, 5), epochs=1)
    names = ["same", "diverging", "adam"]
    assert list(results) == [called for name in names for called in (name, f"tuned_{name}")]
    against = results["same"]["against_adam"]
    assert against["paired_log10"] == 0 and against["verdict"] == "neither"
    assert results["same"]["against_tuned_adam"]["verdict"] == "loss"
    assert results["same"]["loss"] == results["adam"]["loss"] > results["tuned_adam"]["loss"]
    # A single epoch is too short for any but the highest rates.
    assert results["tuned_adam"]["learning_rate"] in (3e-2, 1e-1)
    assert results["tuned_same"]["learning_rate"] == 0.1
    assert results["tuned_same"]["loss"] < results["same"]["loss"]
    assert results["tuned_same"]["against_adam"]["verdict"] == "win"
    assert results["diverging"]["diverged"] == 3 and results["diverging"]["loss"] is None
    assert results["diverging"]["against_adam"]["verdict"] == "loss"
    json.dumps(results, allow_nan=False)
    written = rows("regression", results).splitlines()
    assert len(written) == 6 and "| diverged |" in written[2] and "neither, loss" in written[0]
