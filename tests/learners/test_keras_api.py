"""MAML as a Keras user meets it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta.layers import with_exact_normalization

WAYS, SHAPE = 3, (4, 4, 1)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.flatten = layers.Flatten()
        self.hidden = layers.Dense(units, activation="relu")
        self.norm = tfmeta.layers.BatchNormalization(statistics="running")
        self.dropout = layers.Dropout(0.3)
        self.logits = layers.Dense(WAYS)

    def call(self, inputs, training=None):
        x = self.norm(self.hidden(self.flatten(inputs)), training=training)
        return self.logits(self.dropout(x, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def body(norm):
    return [
        layers.Conv2D(4, 3, use_bias=False),
        norm,
        layers.ReLU(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(WAYS),
    ]


def sequential(norm=None):
    return keras.Sequential([keras.Input(SHAPE), *body(norm or tfmeta.layers.BatchNormalization())])


def functional(norm=None):
    x = inputs = keras.Input(SHAPE)
    for layer in body(norm or tfmeta.layers.BatchNormalization(statistics="running")):
        x = layer(x)
    return keras.Model(inputs, x)


def unbuilt():
    return keras.Sequential(body(tfmeta.layers.LayerNormalization()))


def dense():
    return keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), layers.Dense(8, "tanh"), layers.Dense(WAYS)]
    )


MODELS = {
    "functional": functional,
    "sequential": sequential,
    "unbuilt sequential": unbuilt,
    "subclassed": lambda: Subclassed(8),
}
each_kind = pytest.mark.parametrize(
    "kind",
    [
        kind if kind == "subclassed" else pytest.param(kind, marks=pytest.mark.slow)
        for kind in MODELS
    ],
)


def meta_batch(tasks=4, seed=0, support=6, query=5):
    """One meta-batch of classification tasks."""
    random = np.random.default_rng(seed)
    return {
        "support_x": random.normal(size=[tasks, support, *SHAPE]).astype(np.float32),
        "support_y": random.integers(0, WAYS, [tasks, support], dtype=np.int32),
        "query_x": random.normal(size=[tasks, query, *SHAPE]).astype(np.float32),
        "query_y": random.integers(0, WAYS, [tasks, query], dtype=np.int32),
        "seed": random.integers(0, 2**31, [tasks, 2], dtype=np.int32),
    }


def dataset(steps=1, **arguments):
    """The same meta-batch again and again."""
    return tf.data.Dataset.from_tensors(meta_batch(**arguments)).repeat(steps)


def compiled(model, **arguments):
    learner = tfmeta.MAML(model, inner_learning_rate=0.1, **arguments)
    learner.compile(
        keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return learner


def assert_equal(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def weights_of(model):
    return [np.array(value) for value in model.get_weights()]


def test_fit_learns_with_callbacks(tmp_path):
    learner = compiled(dense())
    history = learner.fit(
        dataset(5),
        validation_data=dataset(),
        epochs=20,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
            keras.callbacks.TensorBoard(tmp_path / "logs"),
            keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=3),
        ],
    ).history
    assert len(history["loss"]) == 4  # no epoch is 1e9 better than the first: three more, then stop
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert history["loss"][-1] < history["loss"][0]
    assert list((tmp_path / "logs").rglob("events.*"))
    best = keras.models.load_model(tmp_path / "best.keras")
    assert_equal(best.evaluate(dataset(), verbose=0)[0], min(history["val_loss"]))


@each_kind
def test_loaded_learner_goes_on_where_the_saved_one_was(kind, tmp_path):
    learner = compiled(MODELS[kind](), inner_steps=2, test_inner_steps=3)
    learner.fit(dataset(2), verbose=0)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert (loaded.inner_steps, loaded.test_inner_steps) == (2, 3)
    assert loaded.optimizer.iterations == 2
    for one in (learner, loaded):
        one.fit(dataset(2, seed=1), verbose=0)
    for expected, result in zip(weights_of(learner), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(result, expected)


@each_kind
def test_adapted_model_predicts_saves_and_exports(kind, tmp_path):
    learner = compiled(MODELS[kind](), inner_steps=2)
    learner.fit(dataset(2), verbose=0)
    before = weights_of(learner)
    task = meta_batch(tasks=1, seed=2)
    x = task["query_x"][0]

    adapted = learner.adapt(task["support_x"][0], task["support_y"][0])
    assert type(adapted) is type(learner.model)
    prediction = adapted.predict(x, verbose=0)
    assert prediction.shape == (len(x), WAYS)
    assert np.abs(prediction - learner.predict(x, verbose=0)).max() > 1e-3
    for expected, result in zip(before, weights_of(learner), strict=True):
        np.testing.assert_array_equal(result, expected)

    adapted.save(tmp_path / "adapted.keras")
    loaded = keras.models.load_model(tmp_path / "adapted.keras")
    assert_equal(loaded.predict(x, verbose=0), prediction)
    adapted.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    assert_equal(exported.serve(x), prediction)


def test_adapted_model_predicts_as_evaluation_does():
    learner = compiled(functional(), inner_steps=2)
    learner.fit(dataset(2), verbose=0)
    task = meta_batch(tasks=1, seed=2)
    task["seed"][:] = [[5, 0]]
    adapted = learner.adapt(task["support_x"][0], task["support_y"][0], seed=5)
    adapted.compile(loss=learner.loss, metrics=["accuracy"])
    assert_equal(
        adapted.evaluate(task["query_x"][0], task["query_y"][0], verbose=0),
        np.array(learner.evaluate(tf.data.Dataset.from_tensors(task), verbose=0)),
    )


@keras.saving.register_keras_serializable("tests")
class WithoutTraining(keras.Model):
    """Its call does not say whether it is in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten, self.logits = layers.Flatten(), layers.Dense(WAYS)

    def call(self, inputs):
        return self.logits(self.flatten(inputs))


def test_a_model_need_not_take_training():
    model = WithoutTraining()
    learner = compiled(model)
    task = meta_batch(tasks=1)
    adapted = learner.adapt(task["support_x"][0], task["support_y"][0])
    x = task["query_x"][0]
    assert np.abs(adapted(x) - model(x)).max() > 1e-3
    np.testing.assert_array_equal(learner(x), model(x))
    assert np.isfinite(learner.fit(dataset(1), verbose=0).history["loss"]).all()


def test_regression_learns_and_adapts():
    random = np.random.default_rng(0)
    slopes = random.normal(size=[8, 1, 1])
    x = random.normal(size=[8, 20, 1])
    y = slopes * x
    lines = {
        "support_x": x[:, :10],
        "support_y": y[:, :10],
        "query_x": x[:, 10:],
        "query_y": y[:, 10:],
    }
    lines = {name: values.astype(np.float32) for name, values in lines.items()}
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([1]), layers.Dense(16, "tanh"), layers.Dense(1)])
    learner = tfmeta.MAML(model, inner_learning_rate=0.1, inner_steps=3)
    learner.compile("adam", loss="mse", metrics=["mae"])
    history = learner.fit(
        tf.data.Dataset.from_tensors(lines).repeat(30), epochs=2, verbose=0
    ).history
    assert history["loss"][1] < history["loss"][0]
    adapted = learner.adapt(lines["support_x"][0], lines["support_y"][0])
    error = np.square(adapted.predict(lines["query_x"][0], verbose=0) - lines["query_y"][0]).mean()
    start = np.square(model.predict(lines["query_x"][0], verbose=0) - lines["query_y"][0]).mean()
    assert error < start


def test_bfloat16_learns():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        learner = compiled(functional())
    finally:
        keras.config.set_dtype_policy("float32")
    before = weights_of(learner.model)
    loss = learner.fit(dataset(3), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    after = weights_of(learner.model)
    assert after[0].dtype == np.float32
    assert (after[0] != before[0]).any()


def test_float16_is_refused():
    model = keras.Sequential([keras.Input([3]), layers.Dense(2, dtype="mixed_float16", name="odd")])
    with pytest.raises(tfmeta.ArgumentError, match="layer odd computes in float16.*bfloat16"):
        tfmeta.MAML(model)


def test_frozen_layers_stay_in_training_and_in_adaptation():
    model = dense()
    model.layers[1].trainable = False
    learner = compiled(model)
    frozen, free = (layer.get_weights()[0] for layer in model.layers[1:])
    learner.fit(dataset(2), verbose=0)
    task = meta_batch(tasks=1)
    adapted = learner.adapt(task["support_x"][0], task["support_y"][0])
    for result in (model, adapted):
        np.testing.assert_array_equal(result.layers[1].get_weights()[0], frozen)
        assert (result.layers[2].get_weights()[0] != free).any()


def test_a_model_without_free_weights_is_refused():
    model = dense()
    model.trainable = False
    with pytest.raises(tfmeta.ArgumentError, match="no trainable weights"):
        tfmeta.MAML(model)


def test_normalization_by_keras_is_refused_in_second_order_alone():
    model = functional(layers.BatchNormalization(name="stock"))
    with pytest.raises(tfmeta.ArgumentError, match="its layer stock .*BatchNormalization"):
        tfmeta.MAML(model)
    learner = compiled(model, first_order=True)
    assert np.isfinite(learner.fit(dataset(2), verbose=0).history["loss"]).all()
    model.get_layer("stock").trainable = False
    tfmeta.MAML(model)


@pytest.mark.parametrize(
    "norm",
    [
        layers.BatchNormalization,
        layers.LayerNormalization,
        lambda: layers.LayerNormalization(axis=[1, 2], scale=False),
        lambda: layers.GroupNormalization(2),
    ],
)
@pytest.mark.parametrize("make", [functional, sequential])
def test_exact_normalization_gives_equal_outputs(make, norm):
    model = make(norm())
    x = meta_batch()["query_x"][0]
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    exact = with_exact_normalization(model)
    assert_equal(exact.predict(x, verbose=0), model.predict(x, verbose=0))
    tfmeta.MAML(exact)


def test_dropout_without_a_seed_is_refused():
    tasks = meta_batch()
    del tasks["seed"]
    with pytest.raises(tfmeta.ArgumentError, match="seed=missing.*random layers"):
        compiled(sequential()).fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
    compiled(dense()).fit(tf.data.Dataset.from_tensors(tasks), verbose=0)


def test_vectorized_tasks_have_the_gradient_of_mapped_ones(float64):
    model = dense()
    tasks = {name: tf.constant(values) for name, values in meta_batch().items()}
    for name in ("support_x", "query_x"):
        tasks[name] = tf.cast(tasks[name], tf.float64)

    def gradient(vectorized):
        learner = compiled(model, inner_steps=2, vectorized=vectorized)
        return learner.meta_gradient(tasks)[1]

    for mapped, vectorized in zip(gradient(False), gradient(True), strict=True):
        assert mapped.dtype == tf.float64
        np.testing.assert_allclose(vectorized, mapped, rtol=0, atol=1e-12 * np.abs(mapped).max())


def test_a_step_is_traced_once(monkeypatch):
    traces = []
    train_step = tfmeta.MAML.train_step
    monkeypatch.setattr(
        tfmeta.MAML, "train_step", lambda *step: traces.append(step) or train_step(*step)
    )
    compiled(dense()).fit(dataset(3), epochs=2, verbose=0)
    assert len(traces) == 1
