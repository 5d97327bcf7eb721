"""How long a training will take, by its first steps."""

import pytest

from tfmeta.training.forecast import Forecast, duration


def test_it_is_said_once_when_a_few_steps_have_been_timed():
    forecast = Forecast("; for less, do less.")
    assert forecast(0, 0.0, 999) is None
    assert forecast(4, 0.4, 995) is None
    assert forecast(5, 0.5, 600) == "600 more steps take about 60 seconds; for less, do less."
    assert forecast(6, 0.6, 599) is None


def test_slow_steps_tell_at_once():
    assert Forecast(".")(1, 54.0, 999) == "999 more steps take about 15 hours."


def test_of_the_last_step_nothing_is_said():
    assert Forecast(".")(9, 9.0, 0) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.2, "1 second"), (1.6, "2 seconds"), (119, "119 seconds"), (120, "2 minutes")),
        *((7000, "117 minutes"), (7200, "2 hours"), (86400, "24 hours"), (3e5, "3 days")),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
