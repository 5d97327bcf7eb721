"""What makes second derivatives wrong is found wherever it hides, and nothing else is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta


def moments_of_my_own(x):
    mean, variance = tf.nn.moments(x, [0])
    return (x - mean) / tf.sqrt(variance + 1e-3)


def means_of_my_own(x):
    mean = tf.reduce_mean(x, axis=0)
    variance = tf.reduce_mean(tf.square(x - mean), axis=0)
    return (x - mean) / tf.sqrt(variance + 1e-3)


DILATION = ([1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1])


class Within(layers.Layer):
    """A custom layer that holds another one."""

    def __init__(self, layer):
        super().__init__(name="outer")
        self.layer = layer

    def call(self, x):
        return self.layer(x)


class NormalizedCell(layers.SimpleRNNCell):
    def __init__(self):
        super().__init__(4)
        self.norm = layers.LayerNormalization(name="hidden")

    def build(self, shape):
        super().build(shape)
        self.norm.build((shape[0], 4))

    def call(self, x, states, training=False):
        output, states = super().call(x, states)
        return self.norm(output), states


@tf.custom_gradient
def square_without_second_derivative(x):
    return tf.square(x), lambda upstream: upstream * tf.stop_gradient(2 * x)


@tf.custom_gradient
def square_by_hand(x):
    return tf.square(x), lambda upstream: upstream * 2 * x


def around(*middle, shape=(5,)):
    return keras.Sequential([keras.Input(shape), *middle, layers.Flatten(), layers.Dense(3)])


def after_dense(function, **arguments):
    return around(layers.Dense(4, "tanh"), layers.Lambda(function, name="mine", **arguments))


STOPPED = {
    "moments": ("mine", lambda: after_dense(moments_of_my_own)),
    "in a graph of its own": ("mine", lambda: after_dense(tf.function(moments_of_my_own))),
    "in a custom gradient": ("mine", lambda: after_dense(square_without_second_derivative)),
    "straight through": (
        "mine",
        lambda: after_dense(lambda x: x + tf.stop_gradient(tf.round(x) - x)),
    ),
    "a layer within a layer": (
        "inner",
        lambda: around(layers.Dense(4), Within(layers.LayerNormalization(name="inner"))),
    ),
    "behind a loop": (
        "mine",
        lambda: around(
            layers.LSTM(4, return_sequences=True),
            layers.Lambda(moments_of_my_own, name="mine"),
            shape=(4, 3),
        ),
    ),
    "behind complex numbers": (
        "mine",
        lambda: after_dense(lambda x: moments_of_my_own(tf.abs(tf.signal.rfft(x)))),
    ),
    "in a loop": ("hidden", lambda: around(layers.RNN(NormalizedCell()), shape=(4, 3))),
    "the second of two with like names": (
        "norm_1",
        lambda: around(
            layers.Dense(4),
            layers.Lambda(tf.tanh, name="norm"),
            layers.LayerNormalization(name="norm_1"),
        ),
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "behind a loop" else n for n in STOPPED],
)
def test_a_stopped_gradient_is_refused_by_the_name_of_its_layer(name):
    layer, make = STOPPED[name]
    with pytest.raises(tfmeta.ArgumentError, match=f"layer {layer} .*a gradient is stopped"):
        tfmeta.MAML(make())
    assert tfmeta.MAML(make(), first_order=True)


EXACT = {
    "own means": lambda: after_dense(means_of_my_own),
    "a shift that is taken back": lambda: after_dense(
        lambda x: tf.reduce_logsumexp(x, axis=-1, keepdims=True)
    ),
    "several axes of softmax": lambda: around(
        layers.Dense(4), layers.Softmax(axis=(1, 2)), shape=(3, 5)
    ),
    "of the input": lambda: around(layers.Lambda(tf.stop_gradient), layers.Dense(4)),
    "of whole numbers": lambda: after_dense(
        lambda x: x * tf.stop_gradient(tf.cast(x > 0, x.dtype))
    ),
    "of frozen weights": lambda: around(frozen(layers.Dense(4)), layers.Lambda(tf.stop_gradient)),
    "frozen batch normalization": lambda: around(
        layers.Dense(4), frozen(layers.BatchNormalization())
    ),
    "custom gradient": lambda: after_dense(square_by_hand),
    "our own": lambda: tfmeta.models.conv4((12, 12, 1), 3, filters=4),
}


def frozen(layer):
    layer.trainable = False
    return layer


@pytest.mark.parametrize("name", EXACT)
def test_what_leaves_second_derivatives_exact_is_not_refused(name):
    assert tfmeta.MAML(EXACT[name]())


def test_bfloat16_is_looked_at_as_float32_is():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert tfmeta.MAML(EXACT["a shift that is taken back"]())
        with pytest.raises(tfmeta.ArgumentError, match="layer mine .*a gradient is stopped"):
            tfmeta.MAML(STOPPED["moments"][1]())
    finally:
        keras.config.set_dtype_policy("float32")


def test_advice_is_given_where_it_helps():
    with_layer = layers.LayerNormalization
    for model, helps in (
        (around(layers.Dense(4), with_layer()), "with_exact_normalization, or set first_order"),
        (
            around(layers.Dense(5), around(layers.Dense(4), with_layer())),
            "with_exact_normalization",
        ),
        (around(layers.Dense(4), Within(with_layer())), "from tfmeta.layers, or set first_order"),
        (
            around(layers.Dense(4), layers.BatchNormalization(renorm=True)),
            "without tf.stop_gradient and tf.nn.moments, or set first_order",
        ),
    ):
        with pytest.raises(tfmeta.ArgumentError, match=helps):
            tfmeta.MAML(model)


class WithoutShapes(keras.Model):
    """A model whose inputs are not known before it is called."""

    def __init__(self):
        super().__init__(name="without_shapes")
        self.dense, self.norm = layers.Dense(4), layers.LayerNormalization(name="norm")
        self.head = layers.Dense(3)

    def call(self, x, training=None):
        return self.head(self.norm(self.dense(x)))


def tasks(shape=(5,)):
    x, y = tf.random.normal([2, 4, *shape]), tf.zeros([2, 4], tf.int32)
    return {"support_x": x, "support_y": y, "query_x": x, "query_y": y}


def fit(model, **arguments):
    learner = tfmeta.MAML(model, **arguments)
    learner.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.fit(tf.data.Dataset.from_tensors(tasks()), verbose=0)


def test_a_model_of_unknown_shapes_is_looked_at_when_data_comes():
    with pytest.raises(tfmeta.ArgumentError, match="layer norm .*a gradient is stopped"):
        fit(WithoutShapes())


def test_what_is_unfrozen_is_looked_at_again():
    norm = frozen(layers.BatchNormalization(name="norm"))
    model = around(layers.Dense(4), norm)
    fit(model)
    norm.trainable = True
    with pytest.raises(tfmeta.ArgumentError, match="layer norm .*a gradient is stopped"):
        fit(model)


@pytest.mark.parametrize(
    ("operation", "function"),
    [
        ("Dilation2D", lambda x: tf.nn.dilation2d(x, tf.ones([2, 2, 2]), *DILATION)),
        # TensorFlow takes the derivative of this one for zero, and says nothing.
        ("ResizeBilinearGrad", lambda x: tf.image.resize(x, [5, 7])),
        ("PyFunc", lambda x: tf.ensure_shape(tf.numpy_function(np.sin, [x], x.dtype), x.shape)),
    ],
    ids=["Dilation2D", "ResizeBilinear", "PyFunc"],
)
def test_an_operation_without_second_derivative_is_named(operation, function):
    model = around(layers.Conv2D(2, 3), layers.Lambda(function, name="mine"), shape=(6, 6, 1))
    with pytest.raises(tfmeta.ArgumentError, match=f"layer mine .*{operation}.*first_order"):
        tfmeta.MAML(model)


@pytest.mark.parametrize("method", ["bicubic", "lanczos3"])
def test_resizing_has_second_derivatives(method):
    """The gradient of half the square of a resized image is linear in the image."""
    image = tf.random.stateless_normal([2, 4, 4, 1], [0, 0])
    direction = tf.random.stateless_normal([2, 4, 4, 1], [0, 1])

    def resized(x):
        return tf.image.resize(x, [6, 7], method)

    with tf.GradientTape() as outer:
        outer.watch(image)
        with tf.GradientTape() as inner:
            inner.watch(image)
            loss = tf.reduce_sum(tf.square(resized(image))) / 2
        along = tf.reduce_sum(inner.gradient(loss, image) * direction)
    curvature = tf.reduce_sum(outer.gradient(along, image) * direction)
    expected = tf.reduce_sum(tf.square(resized(direction)))
    assert abs(curvature - expected) < 1e-5 * expected
