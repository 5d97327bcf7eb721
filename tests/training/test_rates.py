"""The outer rate over a training."""

import math

import keras
import pytest

from tfmeta.training.rates import rate

UPDATES = 10


def along(schedule, warmup):
    found = rate(0.4, schedule, UPDATES, warmup)
    return [float(found(step) if callable(found) else found) for step in range(UPDATES + 1)]


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(
    ("schedule", "later"),
    [
        ("constant", lambda share: 1.0),
        ("cosine", lambda share: 0.5 * (1 + math.cos(math.pi * share))),
        ("linear", lambda share: 1.0 - share),
    ],
)
def test_the_rate_rises_in_a_line_and_falls_with_the_last_update(schedule, later, warmup):
    expected = [0.4 * (step + 1) / warmup for step in range(warmup)]
    falling = UPDATES - warmup
    expected += [0.4 * later(step / falling) for step in range(falling + 1)]
    assert along(schedule, warmup) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_an_optimizer_is_saved_with_its_schedule(schedule):
    optimizer = keras.optimizers.Adam(rate(0.4, schedule, UPDATES, 4))
    config = keras.saving.serialize_keras_object(optimizer)
    loaded = keras.saving.deserialize_keras_object(config)
    for updates in (0, 3, 7):
        for one in (optimizer, loaded):
            one.build([])
            one.iterations.assign(updates)
        assert float(loaded.learning_rate) == float(optimizer.learning_rate)
