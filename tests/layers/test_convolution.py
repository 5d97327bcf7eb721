"""tfmeta's Conv2D is Keras's, weight by weight and output by output."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta.layers import convolve

IMAGES = np.random.default_rng(0).normal(size=[9, 8, 7, 4]).astype(np.float32)

ARGUMENTS = {
    "by patches": {"padding": "same", "activation": "tanh"},
    "strided": {"strides": 2, "padding": "same", "use_bias": False},
    "dilated": {"dilation_rate": 2},
    "grouped": {"groups": 2},
    "regularized": {"kernel_regularizer": keras.regularizers.L2(0.1)},
    "mixed_bfloat16": {"dtype": "mixed_bfloat16"},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_outputs_weights_and_losses_are_those_of_keras(name):
    ours = tfmeta.layers.Conv2D(6, 3, **ARGUMENTS[name])
    theirs = keras.layers.Conv2D(6, 3, **ARGUMENTS[name])
    for layer in (ours, theirs):
        layer.build(IMAGES.shape)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}
    ours.set_weights(theirs.get_weights())
    result, expected = ours(IMAGES), theirs(IMAGES)
    assert result.dtype == expected.dtype
    assert ours.losses == theirs.losses
    result, expected = (tf.cast(outputs, tf.float32) for outputs in (result, expected))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_model_is_saved_and_exported(tmp_path):
    inputs = keras.Input([8, 7, 4])
    model = keras.Model(inputs, tfmeta.layers.Conv2D(6, 3, padding="same")(inputs))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", verbose=False)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[1], tfmeta.layers.Conv2D)
    expected = model(IMAGES)
    np.testing.assert_array_equal(loaded(IMAGES), expected)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(IMAGES), expected, rtol=0, atol=1e-5)


def test_patches_are_taken_where_they_pay():
    def pay(images, side, channels, dtype=tf.float32):
        x = tf.TensorSpec([images, side, side, channels], dtype)
        kernel = tf.TensorSpec([3, 3, channels, 64], dtype)
        return convolve._patches_pay(x, kernel, [1, 1], "SAME")

    assert pay(5, 28, 1)
    assert pay(5, 14, 64)
    assert pay(75, 4, 64)
    assert not pay(3, 4, 64)  # few places
    assert not pay(75, 84, 32)  # large patches
    assert not pay(None, 14, 64)
    assert not pay(5, 14, 64, tf.bfloat16)
