"""A small network around a layer, and tasks for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

VECTOR, SEQUENCE, IMAGE, VOLUME = (5,), (4, 3), (6, 6, 2), (4, 4, 4, 1)
PICTURE, SOUND, TOKENS, WORDS = (8, 8, 3), (64,), (4,), (4,)
VOCABULARY = ["a", "b", "c", "d", "e", "f"]
CLASSES = 3


class Case(NamedTuple):
    """A network of one layer, beside a dense layer that gives logits.

    Attributes:
        body: what is done to the input.
        shape: of an example.
        dtype: of the input: a float, `int32` tokens, or `string` words.
        note: what docs/layers.md says of how the layer is used, where that is not plain.
        in_float32: whether what the layer computes is rounded to float32, since TensorFlow has
            no other version of it.
    """

    body: Callable[[Any], Any]
    shape: tuple[int, ...] = VECTOR
    dtype: str | None = None
    note: str = ""
    in_float32: bool = False


def first(make, shape=VECTOR, dtype=None, note=""):
    """The layer is given the input."""
    return Case(lambda x: make()(x), shape, dtype, note)


def after(make, shape=VECTOR, note=""):
    """The layer is given what a layer with weights makes of the input."""
    return Case(lambda x: make()(learned(x)), shape, note=note)


def rounded(make, shape):
    """The layer is given what a layer with weights makes of the input, and rounds it."""
    note = "held to 1e-3, since TensorFlow has it in float32 alone"
    return after(make, shape, note)._replace(in_float32=True)


def merging(make):
    """The layer merges what two dense layers make of the input."""
    return Case(lambda x: make()([layers.Dense(4, "tanh")(x), layers.Dense(4, "tanh")(x)]))


def recurrent(cell):
    return first(lambda: layers.RNN(cell(), unroll=True), SEQUENCE, note="in `RNN`")


def looked_up(make, shape, dtype):
    """The layer makes numbers of the input, which an embedding takes."""
    return Case(lambda x: layers.Embedding(9, 3)(make()(x)), shape, dtype)


def learned(x):
    """What a convolution, or a dense layer, makes of an input of any rank."""
    rank = len(x.shape) - 2
    if rank < 1:
        return layers.Dense(4, "tanh")(x)
    convolution = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    return convolution(4, 3, padding="same", activation="tanh")(x)


def images(make, then=layers.Flatten, note=""):
    """The layer alters the input, in float32.

    No weights lie before it, so what it gives need not be precise.
    """

    def body(x):
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")
        try:
            layer = make()
        finally:
            keras.config.set_dtype_policy(policy)
        return then()(layer(x))

    return Case(body, PICTURE, note=note)


def frozen(layer):
    layer.trainable = False
    return layer


def activated(*names):
    return Case(
        lambda x: layers.Concatenate()([layers.Dense(3, activation=name)(x) for name in names])
    )


def image(make, shape=IMAGE):
    """A layer with weights, given the input, before a curve."""
    return Case(lambda x: layers.Activation("tanh")(make()(x)), shape)


def network(case: Case) -> keras.Model:
    """The network of a case, every weight of it away from round numbers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(case.shape, dtype=case.dtype)
    outputs = layers.Dense(CLASSES, name="logits")(layers.Flatten()(case.body(inputs)))
    model = keras.Model(inputs, outputs, name="network")
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(0.1 * random.normal(size=variable.shape))
    return model


def make_tasks(case: Case, dtype: str = "float32") -> dict[str, Any]:
    """A meta-batch for a case: two tasks of four examples and five more."""
    random, tasks, support, query = np.random.default_rng(1), 2, 4, 5

    def examples(count):
        shape = [tasks, count, *case.shape]
        if case.dtype == "int32":
            return tf.constant(random.integers(0, 7, shape, dtype=np.int32))
        if case.dtype == "string":
            return tf.constant(random.choice(VOCABULARY, shape))
        if case.shape == PICTURE:
            return tf.constant(random.uniform(size=shape), dtype)
        return tf.constant(random.normal(size=shape), dtype)

    def labels(count):
        return tf.constant(random.integers(0, CLASSES, [tasks, count], dtype=np.int32))

    return {
        "support_x": examples(support),
        "support_y": labels(support),
        "query_x": examples(query),
        "query_y": labels(query),
        "seed": tf.zeros([tasks, 2], tf.int32),
    }
