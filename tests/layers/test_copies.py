"""A copy of a model is whole: it answers as the model does, and shares nothing with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta.layers import check_copy, whole_copy

RANDOM = np.random.default_rng(0)


def floats(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def adapted(layer, data):
    layer.adapt(data)
    return layer


def normalized():
    """Inputs of about 300, of which an unadapted `Normalization` would make 300 instead of 0."""
    scaled = adapted(layers.Normalization(), 300 + 5 * floats(50, 3))
    return keras.Sequential([keras.Input([3]), scaled, layers.Dense(2)]), 300 + floats(4, 3)


def text(**arguments):
    words = adapted(layers.TextVectorization(**arguments), ["a b c", "b c d", "good day"])
    inputs = keras.Input([1], dtype="string")
    x = words(inputs)
    if not arguments:
        x = layers.Embedding(20, 3)(x)
    return keras.Model(inputs, layers.Dense(2)(x)), tf.constant([["a b"], ["day d"]])


def looked_up():
    names = adapted(layers.StringLookup(), ["x", "y", "z"])
    numbers = adapted(layers.IntegerLookup(), [40, 50, 60])
    bins = adapted(layers.Discretization(num_bins=4), floats(100, 1))
    inputs = [keras.Input([1], dtype=dtype) for dtype in ("string", "int64", "float32")]
    places = [layer(x) for layer, x in zip((names, numbers, bins), inputs, strict=True)]
    outputs = layers.Flatten()(layers.Add()([layers.Embedding(9, 3)(x) for x in places]))
    x = [[["x"], ["z"]], [[40], [60]], floats(2, 1)]
    x = [tf.constant(x, i.dtype) for x, i in zip(x, inputs, strict=True)]
    return keras.Model(inputs, outputs), x


def frozen_in_part():
    base = keras.Sequential([keras.Input([3]), layers.Dense(4), layers.Dense(4)])
    model = keras.Sequential([base, layers.Dense(2)])
    base.trainable = False
    base.layers[1].trainable = True
    model.layers[1].bias.trainable = False
    return model, floats(4, 3)


def attention():
    inputs = keras.Input([5, 3])
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1))(inputs)
    outputs = layers.MultiHeadAttention(2, 3)(x, x)
    model = keras.Model(inputs, outputs)
    model.layers[1].forward_layer.trainable = False
    model.layers[2].query_dense.trainable = False
    return model, floats(2, 5, 3)


class Subclassed(keras.Model):
    """Not registered with Keras, and with layers of its own making."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units)
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.5)
        self.logits = layers.Dense(2)

    def call(self, inputs, training=None):
        x = self.norm(self.hidden(inputs), training=training)
        return self.logits(self.dropout(x, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def subclassed(policy="float32"):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = Subclassed(5)
        x = floats(4, 3).astype(model.compute_dtype)
        model(x)
    finally:
        keras.config.set_dtype_policy(before)
    model.hidden.trainable = False
    return model, x


class OfDictionaries(keras.Model):
    """Keras does not build it from its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.other = layers.Dense(2), layers.Dense(2)

    def call(self, inputs):
        return self.one(inputs["x"]) + self.other(inputs["y"])


def of_dictionaries():
    model, x = OfDictionaries(), {"x": floats(2, 3), "y": floats(2, 4)}
    model(x)
    return model, x


@keras.saving.register_keras_serializable("tests")
class Projection(layers.Layer):
    """Its matrix is that of an embedding."""

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding

    def call(self, x):
        return x @ keras.ops.transpose(self.embedding.embeddings)

    def get_config(self):
        embedding = keras.saving.serialize_keras_object(self.embedding)
        return {**super().get_config(), "embedding": embedding}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("embedding")), **config)


class TakingNothing(keras.Model):
    """Without the arguments that Keras tells every class of; with a variable of TensorFlow's."""

    def __init__(self):
        super().__init__()
        self.steps = [layers.Dense(3) for _ in range(3)]
        self.scale = tf.Variable(1.0)

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return self.scale * x


def taking_nothing():
    model = TakingNothing()
    model(floats(2, 3))
    model.scale.assign(5.0)
    model.steps[1].trainable = False
    return model, floats(2, 3)


def tied():
    embedding = layers.Embedding(7, 3)
    inputs = keras.Input([4], dtype="int32")
    outputs = Projection(embedding)(layers.Dense(3)(embedding(inputs)))
    return keras.Model(inputs, outputs), RANDOM.integers(0, 7, [2, 4])


def reversible():
    embedding = layers.ReversibleEmbedding(7, 3)
    inputs = keras.Input([4], dtype="int32")
    outputs = embedding(layers.Dense(3)(embedding(inputs)), reverse=True)
    return keras.Model(inputs, outputs), RANDOM.integers(0, 7, [2, 4])


def used_twice():
    dense, inputs = layers.Dense(3), keras.Input([3])
    return keras.Model(inputs, dense(dense(inputs))), floats(2, 3)


def shared_by_nested_models():
    dense = layers.Dense(3)
    parts = [keras.Sequential([keras.Input([3]), dense, layers.Dense(3)]) for _ in range(2)]
    inputs = keras.Input([3])
    return keras.Model(inputs, parts[1](parts[0](inputs))), floats(2, 3)


def scaled(factor):
    def function(x):
        return factor * x

    return function


def functions():
    """One that Keras would take for the other, and a lambda that uses a module."""
    inputs = keras.Input([3])
    x = layers.Dense(3, activation=scaled(2.0))(inputs)
    x = layers.Lambda(lambda x: tf.nn.relu(x) + np.float32(1))(x)
    return keras.Model(inputs, layers.Dense(2, activation=scaled(-3.0))(x)), floats(4, 3)


class Ones(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return tf.ones(shape, dtype)


def dtypes():
    inputs = keras.Input([3])
    x = layers.Dense(3, dtype="mixed_bfloat16", kernel_initializer=Ones())(inputs)
    return keras.Model(inputs, layers.Dense(2, dtype="float64")(x)), floats(2, 3)


def quantized():
    model = keras.Sequential([keras.Input([3]), layers.Dense(4), layers.Dense(2)])
    for layer in model.layers:
        layer.quantize("int8")
    return model, floats(4, 3)


MODELS = [
    normalized,
    text,
    pytest.param(lambda: text(output_mode="tf_idf"), id="tf_idf"),
    looked_up,
    frozen_in_part,
    attention,
    subclassed,
    pytest.param(lambda: subclassed("mixed_bfloat16"), id="subclassed_bfloat16"),
    pytest.param(lambda: subclassed("float64"), id="subclassed_float64"),
    of_dictionaries,
    taking_nothing,
    tied,
    reversible,
    used_twice,
    shared_by_nested_models,
    functions,
    dtypes,
    quantized,
]


@pytest.mark.parametrize("make", MODELS)
def test_a_copy_answers_as_the_model_and_shares_nothing(make):
    model, x = make()
    for variable in model.variables:
        if variable.trainable and "float" in variable.dtype:
            variable.assign(variable.value + RANDOM.uniform(0.1, 0.2, variable.shape))
    expected = model(x).numpy()

    copy = whole_copy(model, x)
    assert type(copy) is type(model)
    pairs = list(zip(model._flatten_layers(), copy._flatten_layers(), strict=True))
    for old, new in pairs:
        assert type(new) is type(old)
        assert new.trainable == old.trainable
        assert new.dtype_policy == old.dtype_policy
    for old, new in zip(model.variables, copy.variables, strict=True):
        assert (new.trainable, new.dtype) == (old.trainable, old.dtype)
        np.testing.assert_array_equal(new.numpy(), old.numpy())
    np.testing.assert_array_equal(copy(x).numpy(), expected)

    assert not {id(v) for v in model.variables} & {id(v) for v in copy.variables}
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(7 + variable.value)
    np.testing.assert_array_equal(copy(x).numpy(), expected)


def test_a_model_that_is_not_built_has_a_copy_that_is_not():
    copy = whole_copy(keras.Sequential([layers.Dense(3), layers.Dense(2)]))
    assert not copy.built and len(copy.layers) == 2


def test_the_compilation_is_left_out():
    model, _ = used_twice()
    model.compile("adam", loss=lambda y, prediction: prediction - y)
    assert not whole_copy(model).compiled


def test_what_keras_would_share_or_lose_is_refused():
    embedding = layers.Embedding(7, 7)
    inputs = keras.Input([4], dtype="int32")
    x = embedding(inputs)
    product = keras.Model(inputs, keras.ops.matmul(x, embedding.embeddings))
    with pytest.raises(tfmeta.ArgumentError, match="its operation matmul.* uses embeddings"):
        whole_copy(product)
    function = layers.Lambda(lambda x: x @ tf.transpose(embedding.embeddings))
    with pytest.raises(tfmeta.ArgumentError, match="its function <lambda> uses embedding"):
        whole_copy(keras.Model(inputs, function(x)))

    dense = layers.Dense(3)
    nested = []
    for _ in range(2):
        inputs = keras.Input([3])
        nested.append(keras.Model(inputs, layers.ReLU()(dense(inputs))))
    inputs = keras.Input([3])
    with pytest.raises(tfmeta.ArgumentError, match="its layer dense.* belongs to .* and to "):
        whole_copy(keras.Model(inputs, nested[1](nested[0](inputs))))


class Centered(layers.Layer):
    """Keeps its mean where no saving finds it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = 0.0

    def adapt(self, x):
        self.mean = x.mean()

    def call(self, x):
        return x - self.mean


def test_a_copy_that_answers_otherwise_is_refused():
    centered = Centered()
    model = keras.Sequential([keras.Input([3]), centered, layers.Dropout(0.5), layers.Dense(2)])
    x = floats(2, 3)
    check_copy(model, x)
    centered.adapt(2 + x)
    with pytest.raises(tfmeta.ArgumentError, match="copy by its configuration answers otherwise"):
        check_copy(model, x)


def test_checking_a_copy_changes_nothing():
    model, x = attention()
    before = [variable.numpy() for variable in model.variables]
    check_copy(model, x)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    noise = layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)))
    check_copy(keras.Sequential([keras.Input([3]), noise]), floats(2, 3))


class WithoutConfig(keras.Model):
    def __init__(self, make):
        super().__init__()
        self.dense = make()

    def call(self, x):
        return self.dense(x)


class Forgetful(Subclassed):
    def get_config(self):
        return {**super().get_config(), "units": 4}


def test_a_class_that_cannot_be_rebuilt_is_refused():
    model = WithoutConfig(lambda: layers.Dense(2))
    model(floats(2, 3))
    with pytest.raises(tfmeta.ArgumentError, match="cannot be copied .*must override `get_config"):
        whole_copy(model)
    model = Forgetful(5)
    model(floats(2, 3))
    with pytest.raises(tfmeta.ArgumentError, match=r"kernel is float32 \[3, 4\] instead"):
        whole_copy(model)
    first, second = (type("Same", (layers.Dense,), {}) for _ in range(2))
    model = keras.Sequential([keras.Input([3]), first(2), second(2)])
    with pytest.raises(tfmeta.ArgumentError, match="two of its classes are called Same"):
        whole_copy(model)
