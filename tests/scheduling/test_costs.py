import pytest

from tfmeta.scheduling import costs


def test_one_time_is_proportional_to_the_tasks():
    assert costs.fit({4: 2.0}) == (0.0, 0.5)


def test_times_on_a_line_give_its_start_and_slope():
    assert costs.fit({2: 7.0, 3: 8.0, 7: 12.0}) == pytest.approx((5.0, 1.0))


def test_nothing_costs_less_than_nothing():
    """Ten tasks that took no longer than five; and more than twice as long."""
    start, seconds = costs.fit({5: 3.0, 10: 3.0})
    assert start == pytest.approx(3.0) and 0 < seconds < 0.01
    start, seconds = costs.fit({5: 1.0, 10: 4.0})
    assert start == 0.0 and 0.2 < seconds < 0.4
