"""Schedules that are packed by times, on one rank; see ranks/test_clusters.py for several."""

import time

import pytest

from tfmeta.scheduling.balance import COMPARE_FIRST, BalancedSchedule


def test_a_problem_costs_its_steps_and_that_it_is_drawn():
    """The first family takes a millisecond for each of ten steps, and the second none; each of its
    problems takes 20 to be drawn, which the other's do not."""
    schedule = BalancedSchedule([0, 1], tasks=2)
    for meta_iteration in range(COMPARE_FIRST + 1):
        schedule.begin()
        for part in schedule.slices[0]:
            with schedule.clock(part):
                time.sleep(0.02 * part.tasks * part.family)
            with schedule.clock(part, steps=10):
                time.sleep(0.01 * part.tasks * (1 - part.family))
        schedule.end(meta_iteration, steps=10)
    stepped, drawn = schedule.loads
    assert stepped.seconds >= 0.01
    assert drawn.seconds >= 0.02


def test_meta_iterations_of_other_lengths_are_predicted_by_their_steps():
    """Every meta-iteration before a comparison is short, but for the last."""
    schedule = BalancedSchedule([0], tasks=1)
    meta_iteration = 0
    while len(schedule.comparisons) < 2:
        steps = 40 if meta_iteration % 10 == COMPARE_FIRST else 4
        (part,) = schedule.slices[0]
        with schedule.clock(part, steps=steps):
            time.sleep(0.002 * steps)
        schedule.end(meta_iteration, steps=steps)
        meta_iteration += 1
    _, later = schedule.comparisons
    assert later["predicted"] == pytest.approx(later["measured"], rel=0.5)
