"""Layers that do in a forward pass what tasks side by side cannot are refused by name."""

import random

import keras
import pytest
import tensorflow as tf
from keras import layers

import tfmeta


class Counting(layers.Layer):
    """Counts its calls in a whole number."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x


class Measuring(layers.Layer):
    """Keeps a metric of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = keras.metrics.Mean()

    def call(self, x):
        self.mean.update_state(x)
        return x


class Late(layers.Layer):
    """Leaves a layer that it holds to be built by its first call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def build(self, shape):
        pass

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)

    def call(self, x):
        return self.dense(x)


class OwnVariable(layers.Layer):
    """Keeps a variable that Keras knows nothing of."""

    def build(self, shape):
        self.total = tf.Variable(0.0, trainable=False)

    def call(self, x):
        self.total.assign_add(tf.reduce_sum(x))
        return x


def around(layer, shape=(5,)):
    return keras.Sequential([keras.Input(shape), layer, layers.Flatten(), layers.Dense(3)])


REFUSED = {
    "trainable weights": (
        lambda: layers.SpectralNormalization(layers.Dense(4), name="odd"),
        "layer odd .*trainable weight kernel another value",
    ),
    "whole numbers": (lambda: Counting(name="odd"), "layer odd .*changes calls.*int32"),
    "metrics": (lambda: Measuring(name="odd"), "layer odd .*none of the model's weights"),
    "weights made late": (lambda: Late(name="odd"), "makes weights when it is first called"),
    "draws of Keras's own": (
        lambda: layers.Lambda(lambda x: x + keras.random.normal([1, 5]), name="odd"),
        "layer odd .*keras.random",
    ),
    "draws when a graph is made": (
        lambda: layers.Lambda(lambda x: x * random.random(), name="odd"),
        "layer odd .*generator once for a graph",
    ),
    "variables of TensorFlow": (lambda: OwnVariable(name="odd"), "layer odd .*tf.Variable"),
}


@pytest.mark.parametrize("first_order", [False, True], ids=["second order", "first order"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_habit_that_tasks_cannot_share_is_refused(name, first_order):
    make, sentence = REFUSED[name]
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        tfmeta.MAML(around(make()), first_order=first_order)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="GPUs can")
def test_channels_first_is_refused_where_tensorflow_cannot(float64):
    """In float32 it can on CPUs too, by oneDNN."""
    layer = layers.Conv2D(2, 3, name="odd", data_format="channels_first")
    with pytest.raises(tfmeta.ArgumentError, match="layer odd .*float64.*channels_last"):
        tfmeta.MAML(around(layer, (2, 6, 6)))


def test_weights_that_keras_does_not_hand_over_are_refused_unless_frozen(tmp_path):
    keras.Sequential([keras.Input((5,)), layers.Dense(4)]).export(tmp_path, verbose=False)
    layer = layers.TFSMLayer(tmp_path, call_endpoint="serve", name="odd")
    model = around(layer)
    with pytest.raises(tfmeta.ArgumentError, match="layer odd .*no inner step.*trainable=False"):
        tfmeta.MAML(model)
    layer.trainable = False
    assert tfmeta.MAML(model)


class KerasTwo:
    """Of the name that a model of Keras 2 has."""

    __module__ = "tf_keras.src.engine.functional"


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (None, "give a built keras.Model"),
        (keras.Sequential, "give a built keras.Model"),
        (KerasTwo(), "it is a model of Keras 2"),
    ],
    ids=["none", "a class", "Keras 2"],
)
@pytest.mark.parametrize("learner", [tfmeta.MAML, tfmeta.ANIL, tfmeta.Reptile])
def test_what_is_no_model_is_refused(learner, model, sentence):
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        learner(model)
