"""The training of an update rule on several families."""

import keras
import numpy as np
import pytest

from tfmeta.learners import OptimizerLearner
from tfmeta.learners.estimators import NoiseReuse
from tfmeta.learners.truncated_training import TruncatedTraining, one_for_each
from tfmeta.problems import Bowls, SoftmaxRegressions
from tfmeta.registry import CLUSTER_UPDATES
from tfmeta.scheduling.balance import BalancedSchedule
from tfmeta.scheduling.truncation import FixedUnrolls
from tfmeta.training.checkpoints import Checkpoints, restore
from tfmeta.training.loop import Progress
from tfmeta.training.optimizers import OptimizerTrainer, reached
from tfmeta.training.problem_clusters import by_gradient
from tfmeta.updates import CoordinatewiseLSTM, MetaSGD

STEPS = 4


def trainer(rule, families, validation):
    learner = OptimizerLearner(rule)
    learner.compile(keras.optimizers.Adam(0.01))
    return OptimizerTrainer(
        learner,
        one_for_each(learner, families, 2),
        validation,
        FixedUnrolls(STEPS, 2),
        meta_batch=2,
        validation_problems=5,
        validation_steps=STEPS,
    )


def test_a_training_in_two_parts_is_one_in_a_whole(monkeypatch):
    """The family of a meta-iteration depends on its number alone; every family has its turn."""
    drawn = []
    meta_iteration = TruncatedTraining.__call__

    def recorded(training, step, lengths):
        drawn.append((step, training.families[0].name))
        return meta_iteration(training, step, lengths)

    monkeypatch.setattr(TruncatedTraining, "__call__", recorded)
    families = [Bowls(1.0), Bowls(5.0)]
    rules = [MetaSGD(0.1), MetaSGD(0.1)]
    for rule in rules:
        rule.build([(2,)])
    whole, parts = (trainer(rule, families, []) for rule in rules)
    trained = whole.advance(0, 8, Progress(0, 8, 2))
    assert np.isfinite(trained["loss"])
    parts.advance(0, 3, Progress(0, 8, 2))
    parts.advance(3, 5, Progress(3, 8, 2))
    assert drawn[:8] == drawn[8:]
    assert {name for _, name in drawn} == {"bowl_1", "bowl_5"}
    for one, other in zip(whole.learner.variables, parts.learner.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_validation_says_how_every_family_ends():
    validated = [Bowls(5.0, seed=1), SoftmaxRegressions(10, seed=1)]
    one = trainer(CoordinatewiseLSTM(units=3, layers=1), [Bowls()], validated)
    validation = one.validate()
    assert validation == one.validate()
    families = validation["families"]
    assert families.keys() == {"bowl_5", "softmax_regression_10"}
    ratios = [family["log_ratio"] for family in families.values()]
    assert validation["log_ratio"] == pytest.approx(np.mean(ratios))
    assert validation["ci95"] > 0
    assert "accuracy" not in families["bowl_5"]
    assert 0 <= validation["accuracy"] <= 100
    assert validation["accuracy"] == families["softmax_regression_10"]["accuracy"]
    assert one.merit({"log_ratio": -2.0}) > one.merit({"log_ratio": -1.0})
    assert validation["diverged"] == 0 and "diverged" not in one.headline(validation)


def test_validation_says_how_many_problems_diverged():
    rule = MetaSGD(1e30)
    rule.build([(2,)])
    one = trainer(rule, [Bowls()], [Bowls(5.0, seed=1), Bowls(1.0, seed=1)])
    validation = one.validate()
    assert validation["diverged"] == 10
    assert validation["families"]["bowl_5"]["diverged"] == 5
    assert "10 diverged" in one.headline(validation)


def test_an_accuracy_is_reached_by_three_validations_in_a_row():
    accuracies = [60, 66, 67, 64, 65, 70, 65, 50]
    rows = [
        {"step": 10 * (i + 1), "seconds": float(i), "validation": {"accuracy": accuracy}}
        for i, accuracy in enumerate(accuracies)
    ]
    assert reached(rows, 65) == {"step": 50, "seconds": 4.0}
    assert reached(rows[:6], 65) is None
    assert reached(rows, 66) is None
    assert reached([], 50) is None


def clustered(learner, families, clusters):
    schedule = BalancedSchedule(clusters, 2, "split")
    return TruncatedTraining(learner, families, schedule)


def test_a_training_goes_on_in_the_clusters_that_it_was_stopped_in(tmp_path):
    """As they were formed last, not as they would be formed at the start."""
    families = [Bowls(1.0), Bowls(5.0), Bowls(9.0)]
    learners = []
    for _ in range(2):
        rule = MetaSGD(0.1)
        rule.build([(2,)])
        learners.append(OptimizerLearner(rule, families=3))
        learners[-1].compile(keras.optimizers.Adam(0.01))
    stopped, resumed = (clustered(learner, families, [0, 1, 1]) for learner in learners)
    stopped.set_clusters([0, 0, 1])
    Checkpoints(tmp_path).save(learners[0], 4)
    restore(learners[1], Checkpoints(tmp_path).newest_whole()[1])
    resumed.take_clusters()
    assert [load.cluster for load in resumed.schedule.loads] == [0, 0, 1]
    np.testing.assert_array_equal(resumed.sizes, stopped.sizes)


@pytest.mark.parametrize(("update", "moves"), [("accumulate", 1), ("update", 4)])
def test_the_updates_of_a_training_are_known_beforehand(update, moves):
    """The outer rate falls to zero over so many."""
    families = [Bowls(1.0), Bowls(5.0), Bowls(9.0)]
    rule = MetaSGD(0.1)
    rule.build([(2,)])
    learner = OptimizerLearner(rule)
    learner.compile(keras.optimizers.Adam(0.01))
    schedule = BalancedSchedule([0, 1, 1], 2, "split")
    training = CLUSTER_UPDATES[update](learner, families, schedule)
    lengths = FixedUnrolls(STEPS, 2)(0)
    training(0, lengths)
    assert training.moves(schedule) == moves
    assert int(learner.optimizer.iterations) == moves * len(lengths.steps)


def test_gradients_of_any_estimator_make_clusters():
    rule = MetaSGD(0.1)
    rule.build([(2,)])
    learner = OptimizerLearner(rule, estimator=NoiseReuse(noise=0.01, noise_pairs=101))
    direction = by_gradient(Bowls(5.0), learner, seed=0)
    exact = by_gradient(Bowls(5.0), OptimizerLearner(rule), seed=0)
    assert direction @ exact > 0.9


def test_a_gradient_that_is_not_finite_has_no_direction():
    """It moves no rule either."""
    rule = MetaSGD(1e30)
    rule.build([(2,)])
    np.testing.assert_array_equal(by_gradient(Bowls(5.0), OptimizerLearner(rule), seed=0), 0.0)
