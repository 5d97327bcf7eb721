"""What every few-shot learner keeps to, with every start."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta.registry import LEARNERS, STARTS

every_learner = pytest.mark.parametrize("name", LEARNERS)
# Every learner, the start of most parts, and in the slow tests every pair of them.
every_pair = pytest.mark.parametrize(
    ("name", "start"),
    [
        pytest.param(
            name,
            start,
            marks=[] if start is None or (name, start) == ("maml", "own") else pytest.mark.slow,
        )
        for name in LEARNERS
        for start in (None, *STARTS)
    ],
)


def source():
    return tfmeta.SixFamilies(4, 3)


@functools.cache  # A pipeline takes longer to build than its tasks.
def drawn(step, count):
    (batch,) = source().batches(count, step, 1)
    return batch


def tasks(step=0, count=6):
    """A meta-batch in Keras's float type."""
    batch, dtype = drawn(step, count), keras.config.floatx()
    return {n: tf.cast(t, dtype) if t.dtype.is_floating else t for n, t in batch.items()}


def learner(name, start=None, optimizer=None, **arguments):
    model = tfmeta.models.mlp((2,), 1, (5,), seed=0)
    if start is not None:
        start = STARTS[start]("label", num_clusters=6)
    made = LEARNERS[name](model, inner_learning_rate=0.02, inner_steps=2, start=start, **arguments)
    made.compile(optimizer or keras.optimizers.SGD(0.1, 0.9), loss="mse", metrics=["mae"])
    if start is not None:
        start.form_clusters(made, [tasks(100, 30)])
    return made


def dataset(*batches):
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *b: tf.stack(b), *batches)
    )


def prepared(made, batch):
    return made.start.prepare(made, batch)


def gradient_function(made):
    def gradient(batch):
        return made.meta_gradient(prepared(made, batch))

    # A few gradients of a small network cost less than a graph of one.
    return tf.function(gradient, autograph=False) if made.vectorized else gradient


@every_pair
def test_gradients_add_up_over_tasks_one_by_one_and_vectorized(name, start, float64):
    batch = tasks()
    totals = []
    for vectorized in (False, True):
        gradient = gradient_function(learner(name, start, vectorized=vectorized))
        result, whole = gradient(batch)
        alone = [gradient({n: t[i : i + 1] for n, t in batch.items()}) for i in range(6)]
        np.testing.assert_allclose(result.loss, sum(r.loss for r, _ in alone), rtol=1e-12)
        for number, total in enumerate(whole):
            parts = sum(gradients[number] for _, gradients in alone)
            np.testing.assert_allclose(total, parts, rtol=0, atol=1e-12 * np.abs(total).max())
        totals.append(whole)
    for looped, vectorized in zip(*totals, strict=True):
        scale = np.abs(looped).max()
        np.testing.assert_allclose(vectorized, looped, rtol=0, atol=1e-12 * scale)


def central_difference(made, batch):
    """The meta-gradient is the derivative of the meta-loss, in every variable."""
    errors = tfmeta.check_meta_gradient(made, batch)
    assert max(errors.values()) < 1e-6, errors


def towards_the_adapted(made, batch):
    """The gradient of one task is the initial weights less those adapted to all its examples."""
    task = {n: t[:1] for n, t in batch.items()}
    _, gradients = gradient_function(made)(task)
    x, y = (tf.concat([task[f"support_{n}"][0], task[f"query_{n}"][0]], axis=0) for n in "xy")
    before = made.meta(made.learned(), {n: t[0] for n, t in prepared(made, task).items()}).weights
    plain = learner("reptile")
    plain.model.set_weights(before)
    adapted = plain.adapt(x, y, made.inner_steps).get_weights()
    for gradient, old, new in zip(gradients, before, adapted, strict=True):
        # Where clusters have a start each, those of others have a gradient of zero.
        total = np.reshape(gradient, [-1, *old.shape]).sum(axis=0)
        np.testing.assert_allclose(total, old - new, rtol=0, atol=1e-12)


# How the meta-gradient of each learner is to be checked.
EXACT = {
    "maml": central_difference,
    "anil": central_difference,
    "reptile": towards_the_adapted,
}


@every_pair
def test_the_meta_gradient_is_exact(name, start, float64):
    EXACT[name](learner(name, start), tasks())


@every_pair
def test_a_saved_learner_goes_on_as_it_was(name, start, tmp_path):
    made = learner(name, start, vectorized=True)
    made.fit(dataset(tasks(0), tasks(1)), verbose=0)
    made.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    for one in (made, loaded):
        one.fit(dataset(tasks(2), tasks(3)), verbose=0)
    for old, new in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@every_learner
def test_an_adapted_model_predicts_as_evaluation_does(name):
    made = learner(name)
    made.fit(dataset(tasks(0), tasks(1)), verbose=0)
    batch = tasks(2)
    _, predictions = made.adapted_predictions(batch, 3)
    for task in range(2):
        model = made.adapt(batch["support_x"][task], batch["support_y"][task], inner_steps=3)
        expected = predictions[task, -1]
        np.testing.assert_allclose(model(batch["query_x"][task]), expected, rtol=1e-4, atol=1e-5)


@every_learner
def test_training_makes_tasks_easier(name):
    random = np.random.default_rng(0)
    slopes = random.uniform(1, 2, [40, 1, 1])
    x = random.normal(size=[40, 10, 2])
    y = slopes * x.sum(axis=-1, keepdims=True)
    lines = {"support_x": x[:, :4], "support_y": y[:, :4], "query_x": x[:, 4:], "query_y": y[:, 4:]}
    lines = {n: tf.constant(values, tf.float32) for n, values in lines.items()}
    made = learner(name, optimizer=keras.optimizers.Adam(0.01), vectorized=True)
    before = made.evaluate(dataset(lines), verbose=0)[0]
    made.fit(dataset(*[lines] * 100), verbose=0)
    assert made.evaluate(dataset(lines), verbose=0)[0] < 0.5 * before


@every_learner
def test_weights_say_what_a_task_counts(name, float64):
    """A task of weight 2 is the same task twice."""
    batch = tasks(0, 3)
    twice = {n: tf.concat([t, t[2:]], axis=0) for n, t in batch.items()}
    ends = []
    for given in ({**batch, "weight": tf.constant([1.0, 1.0, 2.0], tf.float64)}, twice):
        made = learner(name, optimizer=keras.optimizers.SGD(0.1))
        made.fit(dataset(given), verbose=0)
        ends.append(made.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
