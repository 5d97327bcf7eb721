"""Exact layers for Keras's, and Keras's for ours, change no layer's meaning."""

import keras
import numpy as np
import pytest
from keras import layers

import tfmeta
from tfmeta.layers import inexact_layers, keras_copy, with_exact_normalization

RANDOM = np.random.default_rng(0)
SHAPE = (6, 6, 4)
X = RANDOM.normal(size=[4, *SHAPE]).astype(np.float32)


class GivenLayers(keras.layers.Layer):
    """A layer of layers, which are in its configuration."""

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def build(self, shape):
        for part in self.parts:
            if not part.built:
                part.build(shape)

    def call(self, x, training=None):
        for part in self.parts:
            x = part(x, training=training) if "norm" in part.name else part(x)
        return x

    def get_config(self):
        parts = keras.saving.serialize_keras_object(self.parts)
        return {**super().get_config(), "parts": parts}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("parts")), **config)


@keras.saving.register_keras_serializable("tests")
class Making(keras.Model):
    """A model that makes its layers in its own code."""

    def __init__(self, room="tfmeta", **kwargs):
        super().__init__(**kwargs)
        self.room = room
        of = tfmeta.layers if room == "tfmeta" else layers
        self.conv = of.Conv2D(3, 3)
        self.norm = of.BatchNormalization()
        self.logits = layers.Dense(2)

    def call(self, x, training=None):
        x = self.norm(self.conv(x), training=training)
        return self.logits(keras.ops.mean(x, axis=[1, 2]))

    def get_config(self):
        return {**super().get_config(), "room": self.room}


def model_of(room, **batch_norm):
    """A model with each normalization, within another model, a wrapper and a layer of layers."""
    inner = keras.Sequential(
        [
            keras.Input(SHAPE),
            room.BatchNormalization(scale=False, momentum=0.9, name="norm", **batch_norm),
            layers.TimeDistributed(room.LayerNormalization(axis=[1, 2], center=False)),
        ],
        name="inner",
    )
    inputs = keras.Input(SHAPE)
    x = inner(inputs)
    norm = room.BatchNormalization(epsilon=0.1, name="norm_within", **batch_norm)
    x = GivenLayers([norm, room.GroupNormalization(2, name="groups")])(x)
    x = room.Conv2D(3, 3, strides=2, padding="same", name="conv")(x)
    x = room.BatchNormalization(name="frozen_norm", trainable=False, **batch_norm)(x)
    return with_random_variables(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))


def with_random_variables(model):
    for variable in model.variables:
        variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))
    return model


def answers(model, x=X):
    return model(x).numpy()


def assert_close(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def of_tfmeta(model):
    return [layer for layer in model._flatten_layers() if "tfmeta" in type(layer).__module__]


def test_exact_normalization_keeps_what_every_layer_means():
    model = model_of(layers)
    exact = with_exact_normalization(model)
    assert not inexact_layers(exact)
    assert len(of_tfmeta(exact)) == 5
    assert_close(answers(exact), answers(model))
    assert_close(exact(X, training=True), model(X, training=True))
    # And the averages have moved alike.
    for expected, result in zip(model.get_weights(), exact.get_weights(), strict=True):
        assert_close(result, expected)
    assert not exact.get_layer("frozen_norm").trainable
    tfmeta.MAML(exact)


def test_statistics_of_the_batch_are_chosen_by_name():
    exact = with_exact_normalization(model_of(layers), statistics="transductive")
    assert exact.get_layer("inner").get_layer("norm").statistics == "transductive"
    with pytest.raises(tfmeta.ArgumentError, match="statistics=mine"):
        with_exact_normalization(model_of(layers), statistics="mine")


def test_a_normalization_that_cannot_be_exchanged_is_named():
    model = Making("keras")
    model(X)
    with pytest.raises(tfmeta.ArgumentError, match="layer batch_norm.* in the code of a class"):
        with_exact_normalization(model)


@pytest.mark.parametrize("statistics", tfmeta.layers.normalization.STATISTICS)
def test_a_keras_copy_has_no_layer_of_ours_and_predicts_with_averages(statistics):
    model = model_of(tfmeta.layers, statistics=statistics)
    copy = keras_copy(model)
    assert of_tfmeta(model) and not of_tfmeta(copy)
    same = model_of(layers)
    same.set_weights(model.get_weights())
    np.testing.assert_array_equal(answers(copy), answers(same))
    assert_close(np.concatenate([answers(copy, x[None]) for x in X]), answers(copy))
    if statistics == "running":
        assert_close(answers(copy), answers(model))


def test_layers_made_in_code_predict_with_averages_too_also_when_loaded(tmp_path):
    model = Making()
    model(X)
    with_random_variables(model)
    same = Making("keras")
    same(X)
    same.set_weights(model.get_weights())

    copy = keras_copy(model)
    copy.save(tmp_path / "copy.keras")
    loaded = keras.models.load_model(tmp_path / "copy.keras")
    again = keras_copy(loaded)
    for one in (copy, loaded, again):
        assert_close(answers(one), answers(same))
        assert_close(answers(one, X[:1]), answers(same, X[:1]))
    assert np.abs(answers(model, X[:1]) - answers(same, X[:1])).max() > 0.1  # it is untouched

    # What has been set goes along with the weights alone, too; what has not, does not.
    copy.save_weights(tmp_path / "copy.weights.h5")
    model.load_weights(tmp_path / "copy.weights.h5")
    assert_close(answers(model), answers(same))
    model.norm.statistics = "transductive"
    model.save_weights(tmp_path / "model.weights.h5")
    same.load_weights(tmp_path / "model.weights.h5")
