"""Meta-iterations over clusters of problems, on one rank; see ranks/test_clusters.py for more."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.learners import OptimizerLearner
from tfmeta.learners.averaged_copies import AveragedCopies
from tfmeta.learners.estimators import TruncatedGradient
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import Bowls, Quadratics
from tfmeta.registry import CLUSTER_UPDATES
from tfmeta.scheduling.balance import BalancedSchedule
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import CoordinatewiseLSTM

UNROLL = 2


def learner(optimizer=None, **more):
    rule = CoordinatewiseLSTM(units=4, layers=1, dtype="float64")
    learner = OptimizerLearner(rule, "log_ratio", first_order=False, **more)
    learner.compile(optimizer or keras.optimizers.SGD(1.0))
    return learner


def families():
    return [
        Bowls(5.0, dtype="float64"),
        Bowls(1.0, dtype="float64"),
        Quadratics(4, dtype="float64"),
    ]


def clustered(
    learner,
    families,
    clusters,
    problems,
    cluster_groups="split",
    average_over="clusters",
    within_cluster="accumulate",
    times=None,
):
    schedule = BalancedSchedule(clusters, problems, cluster_groups, times)
    return CLUSTER_UPDATES[within_cluster](learner, families, schedule, average_over)


def plain(learner, family, problems):
    return TruncatedTraining(learner, [family], EvenSchedule(problems))


def gradient(learner, family, first, last):
    """The mean meta-gradient of some problems of a family, in the first unroll."""

    @tf.function(autograph=False)
    def compute():
        tasks = family.batch(0, first, last)
        carried = learner.start(family, tasks)
        return learner.meta_gradient(family, tasks, carried, 0, UNROLL)[0]

    return flat(compute()) / (last - first)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def change(learner, run):
    before = flat(learner.get_weights())
    run()
    return flat(learner.get_weights()) - before


@pytest.mark.parametrize(
    "average_over, weights",
    [
        ("clusters", (1 / 4, 1 / 4, 1 / 2)),
        pytest.param("tasks", (1 / 3, 1 / 3, 1 / 3), marks=pytest.mark.slow),
    ],
)
def test_the_merged_gradient_is_the_mean_over_clusters_or_tasks(average_over, weights):
    """Two clusters, of two families and of one: the second counts as much as the first."""
    one = learner()
    expected = -sum(
        weight * gradient(one, family, 0, 3)
        for weight, family in zip(weights, families(), strict=True)
    )
    loop = clustered(one, families(), [0, 0, 1], 3, average_over=average_over)
    changed = change(one, lambda: loop(0, Lengths([UNROLL], True)))
    np.testing.assert_allclose(changed, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_one_cluster_of_one_family_is_plain_training():
    one, other = learner(), learner()
    lengths = Lengths([UNROLL, UNROLL], True)
    alone = plain(one, families()[2], 4)
    loop = clustered(other, families()[2:], [0], 4)
    for step in range(2):
        assert loop(step, lengths) == pytest.approx(alone(step, lengths), rel=1e-12)
    one, other = flat(one.get_weights()), flat(other.get_weights())
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-12)


class FirstDiverged(Quadratics):
    """The first problem of every batch is where no loss is finite."""

    def batch(self, step, first, last):
        tasks = super().batch(step, first, last)
        lost = tf.range(last - first) < 1
        far = tf.constant(np.inf, tf.float64)
        weights = [tf.where(lost[:, None], far, weight) for weight in tasks["weights"]]
        return {**tasks, "weights": weights}


@pytest.mark.parametrize("make", [plain, lambda *those: clustered(those[0], [those[1]], [0], 3)])
def test_a_problem_that_diverges_is_left_out_of_the_meta_loss(make):
    ours = learner(estimator=TruncatedGradient(problem_clip=1.0))
    family = FirstDiverged(4, dtype="float64")
    training = make(ours, family, 3)

    @tf.function(autograph=False)
    def others():
        tasks = Quadratics(4, dtype="float64").batch(0, 1, 3)
        carried = ours.start(family, tasks)
        return ours.meta_gradient(family, tasks, carried, 0, UNROLL)[1].losses

    expected = np.mean(others())
    assert training(0, Lengths([UNROLL], True)) == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(flat(ours.rule.get_weights())).all()


def test_one_cluster_updated_problem_by_problem_is_sequential_training():
    """With an optimizer that has a state, Adam."""
    one, other = (learner(keras.optimizers.Adam(0.01)) for _ in range(2))
    lengths = Lengths([UNROLL, UNROLL], True)
    alone = plain(one, families()[2], 1)
    loop = clustered(other, families()[2:], [0], 1, within_cluster="update")
    for step in range(3):
        assert loop(step, lengths) == pytest.approx(alone(step, lengths), rel=1e-12)
    one, other = flat(one.get_weights()), flat(other.get_weights())
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "average_over, weights", [("clusters", (1 / 2, 1 / 2)), ("tasks", (2 / 3, 1 / 3))]
)
def test_the_changes_of_copies_are_averaged(average_over, weights):
    """Two clusters, of two problems and of one, each of which has moved a copy from the start."""
    lengths = Lengths([UNROLL, UNROLL], True)
    expected = np.zeros([])
    for weight, members in zip(weights, (families()[:2], families()[2:]), strict=True):
        one = learner()
        alone = clustered(one, members, [0] * len(members), 1, within_cluster="update")
        expected = expected + weight * change(one, lambda alone=alone: alone(0, lengths))
    both = learner()
    loop = clustered(
        both, families(), [0, 0, 1], 1, average_over=average_over, within_cluster="update"
    )
    changed = change(both, lambda: loop(0, lengths))
    np.testing.assert_allclose(changed, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_problems_of_a_cluster_are_updated_in_an_order_of_their_own_each_time():
    orders = []

    class Recording(AveragedCopies):
        def _begin(self, part, step):
            orders[-1].append((part.family, part.start))
            return super()._begin(part, step)

    loop = Recording(learner(), families(), BalancedSchedule([0, 0, 0], 3))
    for step in range(2):
        orders.append([])
        loop(step, Lengths([1], True))
    every = [(family, number) for family in range(3) for number in range(3)]
    assert sorted(orders[0]) == sorted(orders[1]) == every
    assert every != orders[0] != orders[1]


def test_times_are_compared_and_predicted():
    loop = clustered(learner(), families(), [0, 0, 1], 2)
    for step in range(14):
        loop(step, Lengths([1], True))
    first, later = loop.schedule.comparisons
    assert (first["step"], later["step"]) == (3, 13)
    assert first["predicted"] is None and not first["packed_anew"]
    assert 0.1 < later["measured"][0] / later["predicted"][0] < 10
    assert all(load.seconds > 0 for load in loop.schedule.loads)


def test_times_of_an_earlier_loop_pack_the_groups(monkeypatch):
    monkeypatch.setattr("tfmeta.distributed.size", lambda: 2)
    times = [{1: 1.0, 2: 2.0}, {2: 6.0}, {1: 1.0, 3: 3.0}]
    loop = clustered(learner(), families(), [0, 1, 2], 2, "whole", times=times)
    groups = [{part.family for part in slices} for slices in loop.schedule.slices]
    assert sorted(map(sorted, groups)) == [[0, 2], [1]]


def test_more_whole_groups_than_clusters_are_refused(monkeypatch):
    monkeypatch.setattr("tfmeta.distributed.size", lambda: 3)
    with pytest.raises(ArgumentError, match="groups.*3.*no more than 2"):
        clustered(learner(), families(), [0, 0, 1], 2, "whole")
    with pytest.raises(ArgumentError, match="within_cluster.*update.*whole"):
        clustered(learner(), families(), [0, 0, 1], 2, within_cluster="update")
