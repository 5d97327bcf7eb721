"""Known networks, frozen below and trained above: all that one does with them."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import NETWORKS, dataset, examples, made

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).parent / "networks.py"
LABELS = np.arange(6) % 3


@pytest.mark.parametrize("name", NETWORKS)
def test_all_that_one_does(name, tmp_path):
    learner = made(name)
    below = [np.array(variable) for variable in learner.model.non_trainable_variables]
    start = [np.array(variable) for variable in learner.model.trainable_variables]
    learner.fit(dataset(name), verbose=0)
    moved = [np.array(variable) for variable in learner.model.trainable_variables]
    assert all((new != old).any() for new, old in zip(moved, start, strict=True))
    for old, variable in zip(below, learner.model.non_trainable_variables, strict=True):
        if old.dtype == np.float32:
            np.testing.assert_array_equal(variable, old)
    told = learner.evaluate(dataset(name), verbose=0)

    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.evaluate(dataset(name), verbose=0) == pytest.approx(told)
    random = np.random.default_rng(3)
    support, queries = examples(name, random, 6), examples(name, random, 20)
    model = loaded.adapt(support, LABELS)
    answers = model.predict(queries, verbose=0)
    assert np.ptp(answers, axis=0).max() > 1e-3  # they tell the queries apart
    expected = learner.adapt(support, LABELS).predict(queries, verbose=0)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-5)
    alone = [model.predict(query[None], verbose=0)[0] for query in queries[:3]]
    # The hundred layers of a random EfficientNet alone round otherwise in a batch of another size.
    np.testing.assert_allclose(alone, answers[:3], rtol=0, atol=1e-4 * np.abs(answers).max())

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(queries, verbose=0), answers, rtol=0, atol=1e-6)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    for count in (1, 20):
        np.testing.assert_allclose(
            served.serve(queries[:count]), answers[:count], rtol=0, atol=1e-5
        )


def test_two_ranks_learn_what_one_learns(learned, assert_as_on_one_rank):
    for name in NETWORKS:
        assert_as_on_one_rank(2, f"{name}: weights", 1e-4)
        assert_as_on_one_rank(2, f"{name}: told", 1e-3)
