"""Trials against the rules that they stand for, one after the other."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.evaluation import trials as trials_module
from tfmeta.evaluation.trials import Trials
from tfmeta.problems.quadratic import Quadratics
from tfmeta.problems.softmax_regression import SoftmaxRegressions
from tfmeta.updates import Nesterov

STEPS = 3
NUMBERS = {
    "learning_rate": np.array([0.5, 0.1, 0.3]),
    "momentum": np.array([0.0, 0.5, 0.9]),
    "cosine": np.array([0.0, 1.0, 1.0]),
}


def tasks(problems, count):
    return problems.batch(*map(tf.constant, (0, 0, count)))


def nesterov(problems, every=STEPS):
    return Trials(Nesterov, ["learning_rate", "momentum"], problems, STEPS, every)


def test_a_trial_is_the_training_by_its_rule():
    """On batches of data; one trial at a constant rate, the other's falls to zero."""
    problems = SoftmaxRegressions(3, dtype="float64")
    made, trials = tasks(problems, 2), nesterov(problems, every=2)
    measures = trials(NUMBERS, made)
    assert measures.shape == (3, 2, 3, 3)
    np.testing.assert_array_equal(trials.steps, [0, 2, 3])
    for trial, number in ((0, 1), (2, 0)):
        rate, momentum, cosine = (NUMBERS[name][trial] for name in NUMBERS)
        task = tf.nest.map_structure(lambda tensor, number=number: tensor[number], made)
        weights, data = task["weights"], task["data"]
        state = [tf.zeros_like(weight) for weight in weights]
        for step in range(STEPS + 1):
            if step in trials.steps:
                place = list(trials.steps).index(step)
                measured = (problems.full_loss, problems.held_out_loss, problems.score)
                expected = [measure(weights, data) for measure in measured]
                np.testing.assert_allclose(measures[trial, number, place], expected, rtol=1e-12)
            fallen = (1 + math.cos(math.pi * step / STEPS)) / 2
            rule = Nesterov(max(1e-9, rate * (fallen if cosine else 1.0)), momentum)
            _, _, weights, state = rule.step([], problems.objective(task, step), weights, state)


@pytest.fixture(scope="module")
def expected():
    problems = Quadratics(2, dtype="float64")
    return nesterov(problems)(NUMBERS, tasks(problems, 5))


@pytest.mark.parametrize("at_once", [2, 8])
def test_parts_of_trials_and_problems_fit_together(monkeypatch, expected, at_once):
    """Parts of the trials of one problem, or the trials of some problems, as memory allows."""
    problems = Quadratics(2, dtype="float64")
    made, trials = tasks(problems, 5), nesterov(problems)
    monkeypatch.setattr(trials_module, "_BYTES", at_once * trials._bytes(made))
    np.testing.assert_allclose(trials(NUMBERS, made), expected, rtol=1e-12)


def test_a_compiled_graph_computes_the_same(monkeypatch, expected):
    problems = Quadratics(2, dtype="float64")
    monkeypatch.setattr(trials_module, "_WORTH_COMPILING", 1)
    np.testing.assert_allclose(
        nesterov(problems)(NUMBERS, tasks(problems, 5)), expected, rtol=1e-12
    )


class OneByOne(Quadratics):
    """Problems of which many cannot run at once."""

    vectorizable = False


def test_problems_that_run_one_by_one(expected):
    problems = OneByOne(2, dtype="float64")
    single = nesterov(problems)(NUMBERS, tasks(problems, 5))
    np.testing.assert_allclose(single, expected, rtol=1e-12)
