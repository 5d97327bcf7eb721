"""What every signature, routing and algorithm of clusters keeps to."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates
from tfmeta.clustering import algorithms
from tfmeta.clustering.signatures.base import seen
from tfmeta.registry import ALGORITHMS, ROUTINGS, SIGNATURES, STARTS


@functools.cache  # A pipeline takes longer to build than its tasks.
def drawn(step, count):
    (batch,) = tfmeta.SixFamilies(4, 3).batches(count, step, 1)
    return batch


def tasks(step=0, count=12):
    batch, dtype = drawn(step, count), keras.config.floatx()
    return {n: tf.cast(t, dtype) if t.dtype.is_floating else t for n, t in batch.items()}


def learner(start, rule=None, vectorized=True):
    model = tfmeta.models.mlp((2,), 1, (6,), seed=0)
    made = tfmeta.MAML(
        model, inner_learning_rate=0.01, vectorized=vectorized, update_rule=rule, start=start
    )
    made.compile("adam", loss="mse")
    return made


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_support_sets_one_by_one_and_vectorized(name, float64):
    batch = tasks()
    found = []
    for vectorized in (False, True):
        start = tfmeta.starts.PerCluster(name, num_clusters=3, signature_dims=8)
        made = learner(start, vectorized=vectorized)
        signatures = start.signatures(made, batch)
        assert signatures.shape == (12, SIGNATURES[name](8, 0).dims)
        assert np.isfinite(signatures).all() and len(np.unique(signatures, axis=0)) > 1
        np.testing.assert_array_equal(start.signatures(made, seen(batch)), signatures)
        found.append(signatures)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ROUTINGS)
@pytest.mark.parametrize("kind", STARTS)
def test_a_routing_gives_each_task_to_clusters_that_are_there(name, kind):
    routing = ROUTINGS[name]
    if routing.compares_starts and not STARTS[kind].own_initializations:
        pytest.skip("it compares the initializations of clusters, which have none of their own")
    rule = updates.GaussNewton(0.1, 1) if routing.needs_evidence else None
    start = STARTS[kind]("adapted_weights", num_clusters=3, routing=name)
    made = learner(start, rule)
    alone = start.memberships(made, tasks())
    np.testing.assert_array_equal(alone, np.eye(3)[np.zeros(12, int)])
    start.form_clusters(made, [tasks(100, 30)])
    batch = tasks()
    membership = start.memberships(made, batch)
    np.testing.assert_allclose(tf.reduce_sum(membership, axis=1), 1, rtol=1e-6)
    spoiled = {**batch, "query_x": 0 * batch["query_x"], "query_y": 0 * batch["query_y"]}
    np.testing.assert_array_equal(start.memberships(made, spoiled), membership)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_finds_clusters_that_are_far_apart(name):
    random = np.random.default_rng(0)
    true = np.repeat(np.arange(3), [20, 15, 10])
    signatures = random.normal(size=[45, 4]) + 50 * np.eye(3, 4)[true]
    for given in (3, None):
        found = algorithms.fit(signatures, given, name)
        np.testing.assert_array_equal(found.labels, true)
    # Where all signatures coincide there is one cluster.
    assert algorithms.fit(np.ones([5, 4]), 3, name).labels.tolist() == [0] * 5
