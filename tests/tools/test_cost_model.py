"""The model of what ranks cost: closed forms."""

import pytest

from tfmeta.tools.benchmarks.cost_model import (
    Collective,
    bytes_of_gather,
    bytes_of_sum,
    fit,
    predict,
)


def test_bytes_of_a_sum_stay_below_twice_the_vector_and_those_of_a_gather_grow():
    assert [bytes_of_sum(n, 1000) for n in (1, 2, 4, 1000)] == [0, 1000, 1500, 1998]
    # 32 tasks of 5 queries: 5 outputs and a label each; a loss and a weight of each task.
    assert [bytes_of_gather(n, 32, 5, 5) for n in (1, 2, 1001)] == [0, 4096, 4_096_000]


def test_a_line_is_found_again():
    line = fit([0, 1e3, 1e6, 1e7], [0.002 + size / 5e8 for size in (0, 1e3, 1e6, 1e7)])
    assert line.latency == pytest.approx(0.002)
    assert line.bandwidth == pytest.approx(5e8)


def test_latency_grows_by_its_law_beyond_what_was_measured():
    by_log = Collective({2: 1.0, 4: 2.0}, 10.0)
    assert by_log.seconds(1, 100, "log") == 0
    assert by_log.seconds(2, 100, "log") == 1.0 + 10
    assert by_log.seconds(1024, 0, "log") == pytest.approx(10.0)
    linear = Collective({2: 2.0, 3: 2.5, 4: 3.0}, 10.0)
    assert linear.seconds(1000, 0, "linear") == pytest.approx(1 + 0.5 * 1000)
    falling = Collective({2: 3.0, 3: 2.0, 4: 1.0}, 10.0)
    assert falling.seconds(1000, 0, "linear") == pytest.approx(2.0)


def test_a_step_adds_up():
    of_sum, of_gather = Collective({2: 1e-3}, 1e8), Collective({2: 2e-3}, 1e7)
    times = predict(0.1, of_sum, of_gather, 2, 448_000, 32, 5, 5)["log"]
    assert times["sum"] == pytest.approx(1 + 4.48)
    assert times["gather"] == pytest.approx(2 + 0.4096)
    assert times["step"] == pytest.approx(100 + times["sum"])
    assert times["step_with_gather"] == pytest.approx(times["step"] + times["gather"])
    assert times["end_of_epoch"] == pytest.approx(1)
