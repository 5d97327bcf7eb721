"""An adapted model is whole, opens with Keras alone, and is exported as it predicts."""

import subprocess
import sys
import textwrap
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta

RANDOM = np.random.default_rng(0)
SHAPE = (8, 8, 1)
WAYS = 3


def images(count):
    return RANDOM.normal(size=[count, *SHAPE]).astype(np.float32)


def learner_of(model, loss="mse", **arguments):
    learner = tfmeta.MAML(model, inner_learning_rate=0.05, **arguments)
    learner.compile(keras.optimizers.Adam(0.01), loss=loss)
    return learner


def classifier(norm=tfmeta.layers.BatchNormalization, **arguments):
    """A network with every layer of ours, one of them in a model within it."""
    inner = keras.Sequential(
        [
            keras.Input(SHAPE),
            tfmeta.layers.Conv2D(4, 3, strides=2, padding="same"),
            tfmeta.layers.BatchNormalization(statistics="running"),
            layers.ReLU(),
        ]
    )
    inputs = keras.Input(SHAPE, name="picture")
    x = tfmeta.layers.Conv2D(4, 3, padding="same")(inner(inputs))
    x = tfmeta.layers.GroupNormalization(2)(x)
    x = tfmeta.layers.LayerNormalization()(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(WAYS)(layers.Dropout(0.2)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return learner_of(model, loss, **arguments)


@pytest.fixture(scope="module")
def adapted():
    """An adapted network, 20 images, and its answers to them as one batch."""
    model = classifier(inner_steps=2).adapt(images(6), np.arange(6) % WAYS)
    x = images(20)
    return model, x, model.predict(x, verbose=0)


def assert_close(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def answers(predict, x):
    """Its answers one by one, and all at once."""
    return np.concatenate([predict(one[None]) for one in x]), predict(x)


def test_answers_do_not_depend_on_the_batch(adapted):
    model, x, expected = adapted
    for result in answers(lambda x: model(x).numpy(), x):
        assert_close(result, expected)


def test_adaptation_to_data_stays():
    """An unadapted `Normalization` passes 300 on where it should be 0."""
    scaled = layers.Normalization()
    scaled.adapt(np.array([[299.0], [301.0]]))
    model = keras.Sequential([keras.Input([1]), scaled, layers.Dense(1, use_bias=False)])
    x, y = np.array([[299.0], [300.0]], np.float32), np.array([[0.0], [1.0]], np.float32)
    adapted = learner_of(model).adapt(x, y)
    assert abs(adapted(x)[1, 0]) < 1e-5
    assert_close(adapted.layers[0](x), [[-1.0], [0.0]])


def test_vocabularies_stay(tmp_path):
    inputs = keras.Input([], dtype="int32")
    names = layers.IntegerLookup()
    names.adapt([10, 20, 30])
    outputs = layers.Dense(1)(layers.Embedding(5, 3)(names(inputs)))
    model = keras.Model(inputs, outputs)
    x, y = np.array([10, 30], np.int32), np.array([[0.0], [1.0]], np.float32)
    learner = learner_of(model, inner_steps=3)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    adapted = [one.adapt(x, y) for one in (learner, loaded)]
    assert adapted[0].layers[1].get_vocabulary() == names.get_vocabulary()
    assert np.ptp(adapted[0](x)) > 0
    assert_close(adapted[1](x), adapted[0](x))


@keras.saving.register_keras_serializable("tests")
class Body(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(4, "tanh"), layers.Dense(1)

    def call(self, x, training=None):
        return self.second(self.first(x))


def frozen_body():
    body = Body()
    body(np.ones([1, 2], np.float32))
    body.first.trainable = False
    body.second.bias.trainable = False
    return body


@keras.saving.register_keras_serializable("tests")
class Plain(keras.Model):
    """It takes none of the arguments that Keras gives every class."""

    def __init__(self):
        super().__init__()
        self.steps = [layers.Dense(2), layers.Dense(1)]

    def call(self, x, training=None):
        return self.steps[1](self.steps[0](x))


def plain():
    model = Plain()
    model(np.ones([1, 2], np.float32))
    model.steps[0].trainable = False
    return model


def frozen_attention():
    inputs = keras.Input([2, 3])
    attention = layers.MultiHeadAttention(2, 2)
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(attention(inputs, inputs))))
    attention.query_dense.trainable = False
    return model


def frozen_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return frozen_body()
    finally:
        keras.config.set_dtype_policy("float32")


def sharing():
    """A layer in two models, within a model."""
    dense = layers.Dense(2)
    one, other = (keras.Sequential([keras.Input([2]), dense, layers.ReLU()]) for _ in range(2))
    inputs = keras.Input([2])
    return keras.Model(inputs, layers.Dense(1)(other(one(inputs))))


@pytest.mark.parametrize(
    "make", [frozen_body, plain, frozen_attention, frozen_mixed_precision, sharing]
)
def test_what_is_frozen_or_shared_stays_so_in_adaptation_and_in_loaded_learners(make, tmp_path):
    model = make()
    shape = [6, 2, 3] if make is frozen_attention else [6, 2]
    x, y = RANDOM.normal(size=shape).astype(np.float32), np.ones([6, 1], np.float32)
    learner = learner_of(model)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    adapted = learner.adapt(x, y)
    assert_close(loaded.adapt(x, y)(x), adapted(x))
    for copy in (loaded.model, adapted):
        for old, new in zip(model.variables, copy.variables, strict=True):
            assert new.trainable == old.trainable
            if not old.trainable:
                np.testing.assert_array_equal(new.numpy(), old.numpy())
        for old, new in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
            assert new.trainable == old.trainable
            assert new.compute_dtype == old.compute_dtype


OPENING = """
    import importlib.abc, sys

    class Blocker(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("tfmeta", "horovod"):
                raise ImportError(f"{name} is not here")

    sys.meta_path.insert(0, Blocker())
    import keras, numpy as np

    model = keras.models.load_model(sys.argv[1])
    x = np.load(sys.argv[2])
    one_by_one = np.concatenate([model.predict(one[None], verbose=0) for one in x])
    np.savez(sys.argv[3], one_by_one=one_by_one, at_once=model.predict(x, verbose=0))
"""


@pytest.mark.programs
def test_it_opens_where_there_is_keras_alone(adapted, tmp_path):
    model, x, expected = adapted
    model.save(tmp_path / "adapted.keras")
    np.save(tmp_path / "x.npy", x)
    files = [tmp_path / name for name in ("adapted.keras", "x.npy", "answers.npz")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(OPENING), *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with np.load(files[-1]) as results:
        for result in results.values():
            assert_close(result, expected)


@pytest.mark.filterwarnings("error", "ignore:__array__ implementation:DeprecationWarning")
def test_saved_model_answers_as_predict_does(adapted, tmp_path, capfd):
    model, x, expected = adapted
    model.export(tmp_path / "exported", verbose=False)
    assert len(capfd.readouterr().err.splitlines()) < 10
    exported = tf.saved_model.load(tmp_path / "exported")
    for result in answers(lambda x: exported.serve(x).numpy(), x):
        assert_close(result, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore:__array__ implementation:DeprecationWarning")
def test_tflite_answers_as_predict_does(adapted, tmp_path):
    model, x, expected = adapted
    model.export(tmp_path / "adapted.tflite", format="litert", verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interpreter is to move to another package
        interpreter = tf.lite.Interpreter(str(tmp_path / "adapted.tflite"))
    run = interpreter.get_signature_runner()
    (name,) = run.get_input_details()

    def predict(x):
        (outputs,) = run(**{name: x}).values()
        return outputs

    for result in answers(predict, x):
        assert_close(result, expected)


@pytest.mark.slow
def test_onnx_answers_as_predict_does(tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, x = classifier().adapt(images(6), np.arange(6) % WAYS), images(20)
    model.export(tmp_path / "adapted.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "adapted.onnx")
    name = session.get_inputs()[0].name
    for result in answers(lambda x: session.run(None, {name: x})[0], x):
        assert_close(result, model.predict(x, verbose=0))
