"""Adapting as a service: fast, alike for one example and for twenty, and clear about bad input."""

import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta

slow = pytest.mark.slow
WAYS = 3


def convolutional(statistics="transductive"):
    return tfmeta.models.conv4((12, 12, 1), WAYS, filters=4, batch_norm=statistics, seed=0)


def learner(model, **arguments):
    made = tfmeta.MAML(model, **{"inner_learning_rate": 0.1, "inner_steps": 2, **arguments})
    made.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return made


def images(count, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(size=[count, 12, 12, 1]).astype("float32")


LABELS = np.arange(6) % WAYS


@pytest.mark.parametrize(
    "statistics",
    ["support", *(pytest.param(name, marks=slow) for name in ("transductive", "running"))],
)
def test_one_example_is_answered_as_twenty_are(statistics):
    model = learner(convolutional(statistics)).adapt(images(6), LABELS)
    queries = images(20, seed=1)
    at_once = model.predict(queries, verbose=0)
    alone = [model.predict(query[None], verbose=0)[0] for query in queries]
    np.testing.assert_allclose(alone, at_once, rtol=0, atol=1e-5)


@pytest.mark.parametrize("statistics", ["transductive", "support"])
def test_the_statistics_are_those_of_the_support_set_under_the_adapted_weights(statistics):
    made = learner(convolutional(statistics))
    model = made.adapt(images(6), LABELS)
    first = keras.Model(model.inputs, model.layers[1].output)(images(6))
    mean, variance = tf.nn.moments(first, [0, 1, 2])
    norm = model.layers[2]
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("statistics", ["transductive", pytest.param("support", marks=slow)])
def test_an_adapted_model_answers_as_evaluation_by_example_says(statistics):
    made = learner(convolutional(statistics))
    tasks = {
        "support_x": images(6)[None],
        "support_y": LABELS[None].astype("int32"),
        "query_x": images(20, 1)[None],
        "query_y": np.arange(20)[None].astype("int32") % WAYS,
    }
    tasks = {name: tf.constant(array) for name, array in tasks.items()}
    measured = made.measures(tasks, 2)
    model = made.adapt(images(6), LABELS)
    right = np.argmax(model.predict(images(20, 1), verbose=0), -1) == np.arange(20) % WAYS
    assert float(measured["accuracy_by_example"][0, -1]) == pytest.approx(right.mean())
    own = {"transductive": "accuracy_transductive", "support": "accuracy_by_example"}
    np.testing.assert_array_equal(measured["accuracy"], measured[own[statistics]])


def test_adapt_traces_once_for_a_shape(monkeypatch):
    made = learner(convolutional())
    traces = []
    inner = made.adapt_task
    monkeypatch.setattr(made, "adapt_task", lambda *a: traces.append(1) or inner(*a))
    for seed in range(3):
        made.adapt(images(6, seed), LABELS, seed=seed)
    assert len(traces) == 1
    made.adapt(images(9), np.arange(9) % WAYS)
    assert len(traces) == 2


def test_adapt_sees_what_has_been_learned_since():
    made = learner(tfmeta.models.mlp((2,), 1, seed=0))
    made.compile("sgd", "mse")
    x, y = np.ones([3, 2], "float32"), np.ones([3, 1], "float32")
    before = made.adapt(x, y).get_weights()
    made.model.set_weights([2 * weight for weight in made.model.get_weights()])
    assert not np.allclose(before[0], made.adapt(x, y).get_weights()[0])


def test_a_model_made_before_is_filled():
    made = learner(convolutional())
    model = made.adapt(images(6), LABELS)
    expected = made.adapt(images(6, 1), LABELS)
    assert made.adapt(images(6, 1), LABELS, into=model) is model
    for filled, new in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(filled, new)


@slow
def test_memory_is_flat_over_a_thousand_calls():
    made = learner(tfmeta.models.mlp((2,), WAYS, seed=0))
    x = np.ones([6, 2], "float32")
    peaks = []
    for _ in range(2):
        for _ in range(500):
            made.adapt(x, LABELS)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[1] - peaks[0] < 20_000  # kilobytes


def test_names_of_classes_are_labels():
    made = learner(tfmeta.models.mlp((2,), WAYS, seed=0))
    x = np.random.default_rng(0).normal(size=[6, 2]).astype("float32")
    named = made.adapt(x, ["owl", "cat", "dog", "owl", "cat", "dog"])
    numbered = made.adapt(x, [2, 0, 1, 2, 0, 1])
    assert list(named.class_names) == ["cat", "dog", "owl"]
    for one, other in zip(named.get_weights(), numbered.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_inputs_of_another_range_than_in_training_are_warned_about(tmp_path):
    made = learner(tfmeta.models.mlp((2,), WAYS, seed=0))
    random = np.random.default_rng(0)
    x, y = random.uniform(size=[4, 6, 2]).astype("float32"), np.tile(LABELS, [4, 1])
    tasks = {"support_x": x, "support_y": y, "query_x": x, "query_y": y}
    made.adapt(255 * x[0], LABELS)  # before training nothing is usual
    made.fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
    made.save(tmp_path / "learner.keras")
    made = keras.models.load_model(tmp_path / "learner.keras")
    made.adapt(2 * x[0], LABELS)
    for scale in (255, 1 / 255):
        with pytest.warns(UserWarning, match="x: its largest value is .* in training .* was 0.9"):
            made.adapt(scale * x[0], LABELS)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (images(6), LABELS + 1, "y=1 to 3: the network has 3 outputs; give .* 0 to 2"),
        (images(6), ["a", "b", "c", "d", "a", "b"], "y=0 to 3: the network has 3 outputs"),
        (images(6)[:, :9], LABELS, r"x=\(6, 9, 12, 1\): the model takes"),
    ],
)
def test_bad_support_sets(x, y, sentence):
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        learner(convolutional()).adapt(x, y)
