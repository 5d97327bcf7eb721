"""Second-order meta-gradients against central differences of the meta-loss, layer by layer.

In float64, along one random unit direction, with steps of 1e-6 to either side: the difference of
the meta-losses is then the meta-gradient's projection on that direction to about 1e-9. A layer
whose second derivative is inexact is off by 1e-3 and more.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta import updates
from tfmeta.inner import keras_support as keras_model

pytestmark = pytest.mark.usefixtures("float64")

VECTOR, SEQUENCE, IMAGE, TOKENS = (5,), (4, 3), (6, 6, 2), (4,)
CLASSES = 3
L2 = keras.regularizers.L2(0.05)


def conv(x, **kwargs):
    """A convolution before a layer without weights of its own, for something to learn."""
    return layers.Conv2D(3, 3, padding="same", **kwargs)(x)


def frozen(layer):
    layer.trainable = False
    return layer


def activations(*names):
    return lambda x: layers.Concatenate()([layers.Dense(3, activation=name)(x) for name in names])


# Of each: the shape of an example, and what is done to it before a dense layer gives the logits.
LAYERS = {
    "dense": (VECTOR, lambda x: layers.Dense(4)(x)),
    "tanh sigmoid softplus": (VECTOR, activations("tanh", "sigmoid", "softplus")),
    "gelu silu mish softmax": (VECTOR, activations("gelu", "silu", "mish", "softmax")),
    "relu elu selu leaky_relu": (VECTOR, activations("relu", "elu", "selu", "leaky_relu")),
    "relu6 hard_silu exponential": (VECTOR, activations("relu6", "hard_silu", "exponential")),
    "leaky_relu layer": (VECTOR, lambda x: layers.LeakyReLU(0.3)(layers.Dense(4)(x))),
    "prelu": (VECTOR, lambda x: layers.PReLU("random_normal")(layers.Dense(4)(x))),
    "regularized": (VECTOR, lambda x: layers.Dense(4, "tanh", kernel_regularizer=L2)(x)),
    "activity regularized": (VECTOR, lambda x: layers.Dense(4, "tanh", activity_regularizer=L2)(x)),
    "frozen first": (VECTOR, lambda x: layers.Dense(4, "tanh")(frozen(layers.Dense(4))(x))),
    "frozen last": (VECTOR, lambda x: frozen(layers.Dense(4, "tanh"))(layers.Dense(4)(x))),
    "residual": (VECTOR, lambda x: layers.Add()([x, layers.Dense(5, "tanh")(x)])),
    "einsum": (SEQUENCE, lambda x: layers.EinsumDense("abc,cd->abd", [4, 4])(x)),
    "conv1d": (SEQUENCE, lambda x: layers.Conv1D(3, 3, activation="tanh")(x)),
    "conv1d causal": (
        SEQUENCE,
        lambda x: layers.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="tanh")(x),
    ),
    "conv2d same": (IMAGE, lambda x: conv(x, activation="tanh")),
    "conv2d strided": (IMAGE, lambda x: conv(x, strides=2, activation="tanh")),
    "conv2d dilated": (IMAGE, lambda x: conv(x, dilation_rate=2, activation="tanh")),
    "conv2d grouped": (IMAGE, lambda x: layers.Conv2D(4, 3, groups=2, activation="tanh")(x)),
    "conv2d valid": (IMAGE, lambda x: layers.Conv2D(3, 3, activation="tanh")(x)),
    "conv2d transpose": (
        IMAGE,
        lambda x: layers.Conv2DTranspose(2, 3, strides=2, padding="same", activation="tanh")(x),
    ),
    "depthwise conv2d": (IMAGE, lambda x: layers.DepthwiseConv2D(3, activation="tanh")(x)),
    "separable conv2d": (IMAGE, lambda x: layers.SeparableConv2D(3, 3, activation="tanh")(x)),
    "conv3d": ((4, 4, 4, 1), lambda x: layers.Conv3D(2, 3, activation="tanh")(x)),
    "max pooling 1d": (SEQUENCE, lambda x: layers.MaxPooling1D()(layers.Conv1D(3, 3)(x))),
    "max pooling 2d": (IMAGE, lambda x: layers.MaxPooling2D()(conv(x, activation="tanh"))),
    "max pooling overlapping": (
        IMAGE,
        lambda x: layers.MaxPooling2D(3, 2, padding="same")(conv(x, activation="tanh")),
    ),
    "average pooling 2d": (IMAGE, lambda x: layers.AveragePooling2D(2)(conv(x, activation="tanh"))),
    "global average": (
        IMAGE,
        lambda x: layers.GlobalAveragePooling2D()(conv(x, activation="tanh")),
    ),
    "global max": (IMAGE, lambda x: layers.GlobalMaxPooling2D()(conv(x, activation="tanh"))),
    "padding cropping": (IMAGE, lambda x: layers.Cropping2D(2)(layers.ZeroPadding2D()(conv(x)))),
    "upsampling": (IMAGE, lambda x: layers.UpSampling2D()(conv(x, activation="tanh"))),
    "batch norm": (IMAGE, lambda x: tfmeta.layers.BatchNormalization()(conv(x))),
    "batch norm running": (
        IMAGE,
        lambda x: tfmeta.layers.BatchNormalization(statistics="running")(conv(x)),
    ),
    "batch norm first axis": (IMAGE, lambda x: tfmeta.layers.BatchNormalization(axis=1)(conv(x))),
    "batch norm of vectors": (
        VECTOR,
        lambda x: tfmeta.layers.BatchNormalization(scale=False)(layers.Dense(4)(x)),
    ),
    "batch norm frozen": (IMAGE, lambda x: frozen(layers.BatchNormalization())(conv(x))),
    "layer norm": (IMAGE, lambda x: tfmeta.layers.LayerNormalization()(conv(x))),
    "layer norm axes": (IMAGE, lambda x: tfmeta.layers.LayerNormalization(axis=[1, -1])(conv(x))),
    "group norm": (IMAGE, lambda x: tfmeta.layers.GroupNormalization(2)(layers.Conv2D(4, 3)(x))),
    "group norm one": (IMAGE, lambda x: tfmeta.layers.GroupNormalization(1)(conv(x))),
    "group norm instance": (IMAGE, lambda x: tfmeta.layers.GroupNormalization(-1)(conv(x))),
    "group norm first axis": (
        IMAGE,
        lambda x: tfmeta.layers.GroupNormalization(2, axis=1, scale=False)(conv(x)),
    ),
    "rms norm": (IMAGE, lambda x: layers.RMSNormalization()(conv(x))),
    "unit norm": (IMAGE, lambda x: layers.UnitNormalization()(conv(x))),
    "dropout": (VECTOR, lambda x: layers.Dropout(0.3)(layers.Dense(9, "tanh")(x))),
    "spatial dropout": (IMAGE, lambda x: layers.SpatialDropout2D(0.4)(conv(x, activation="tanh"))),
    "alpha dropout": (VECTOR, lambda x: layers.AlphaDropout(0.3)(layers.Dense(9, "tanh")(x))),
    "gaussian noise": (VECTOR, lambda x: layers.GaussianNoise(0.3)(layers.Dense(9, "tanh")(x))),
    "gaussian dropout": (VECTOR, lambda x: layers.GaussianDropout(0.3)(layers.Dense(9, "tanh")(x))),
    "embedding": (TOKENS, lambda x: layers.Dense(4, "tanh")(layers.Embedding(7, 3)(x))),
    "lstm": (SEQUENCE, lambda x: layers.LSTM(4)(x)),
    "lstm unrolled": (SEQUENCE, lambda x: layers.LSTM(4, unroll=True)(x)),
    "gru unrolled": (SEQUENCE, lambda x: layers.GRU(4, unroll=True)(x)),
    "attention": (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3, dropout=0.2)(x, x)),
}

# Their loops take long to differentiate, and go the way of the LSTM's.
SLOW_LAYERS = {
    "simple rnn": (SEQUENCE, lambda x: layers.SimpleRNN(4)(x)),
    "gru": (SEQUENCE, lambda x: layers.GRU(4)(x)),
    "bidirectional": (SEQUENCE, lambda x: layers.Bidirectional(layers.GRU(3))(x)),
}

LOSSES = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
}


def classifier(shape, body):
    """A network of `body` and a dense layer, every weight of it away from round numbers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, dtype="int32" if shape == TOKENS else None)
    model = keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(body(inputs))))
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(0.1 * random.normal(size=variable.shape))
    return model


def make_tasks(shape, tasks=2, support=4, query=5):
    random = np.random.default_rng(1)

    def examples(count):
        if shape == TOKENS:
            return random.integers(0, 7, size=[tasks, count, *shape], dtype=np.int32)
        return random.normal(size=[tasks, count, *shape])

    return {
        "support_x": tf.constant(examples(support)),
        "support_y": tf.constant(random.integers(0, CLASSES, [tasks, support], dtype=np.int32)),
        "query_x": tf.constant(examples(query)),
        "query_y": tf.constant(random.integers(0, CLASSES, [tasks, query], dtype=np.int32)),
        "seed": tf.constant(random.integers(0, 2**31, [tasks, 2], dtype=np.int32)),
    }


def regression():
    """Tasks whose targets are numbers."""
    tasks = make_tasks(VECTOR)
    for labels in ("support_y", "query_y"):
        tasks[labels] = tf.one_hot(tasks[labels], CLASSES, dtype=tf.float64)
    return tasks


def relative_error(model, tasks, loss=None, in_graph=False, **arguments):
    """How far the meta-gradient of two inner steps is from the central difference.

    Three gradients of a small network cost less than a graph of one, but where operations are
    vectorized or compiled.
    """
    learner = tfmeta.MAML(model, inner_learning_rate=0.3, inner_steps=2, **arguments)
    learner.compile(loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    variables = learner.trainable_variables

    def loss_and_gradients():
        result, gradients = learner.meta_gradient(tasks)
        return result.loss, gradients

    if in_graph:
        loss_and_gradients = tf.function(loss_and_gradients, autograph=False)
    # Of random size along each weight, but uphill: a direction at right angles to the gradient
    # would leave only rounding errors to compare.
    _, gradients = loss_and_gradients()
    random = np.random.default_rng(2)
    direction = [np.abs(random.normal(size=g.shape)) * np.sign(g) for g in gradients]
    length = np.sqrt(sum(np.sum(part**2) for part in direction))
    direction = [part / length for part in direction]

    def loss_at(distance):
        for variable, part in zip(variables, direction, strict=True):
            variable.assign_add(distance * part)
        loss, _ = loss_and_gradients()
        for variable, part in zip(variables, direction, strict=True):
            variable.assign_sub(distance * part)
        return loss.numpy()

    projection = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
    step = 1e-6
    difference = (loss_at(step) - loss_at(-step)) / (2 * step)
    return abs(projection - difference) / abs(difference)


def through(shape, body, in_graph=False):
    return relative_error(classifier(shape, body), make_tasks(shape), in_graph=in_graph)


@pytest.mark.parametrize("name", LAYERS)
def test_meta_gradient_through_a_layer_is_the_central_difference(name):
    assert through(*LAYERS[name], in_graph=name == "conv2d grouped") < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_LAYERS)
def test_meta_gradient_through_a_loop_is_the_central_difference(name):
    assert through(*SLOW_LAYERS[name]) < 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_meta_gradient_of_a_regression_loss_is_the_central_difference(name):
    model = classifier(VECTOR, activations("tanh"))
    assert relative_error(model, regression(), loss=LOSSES[name]()) < 1e-6


RULES = {
    "momentum": lambda: updates.Momentum(0.3),
    "adam": lambda: updates.Adam(0.3),
    "rmsprop": lambda: updates.RMSprop(0.3),
    "meta_sgd": lambda: updates.MetaSGD(0.3),
    "layer_rates": lambda: updates.LayerRates(0.3, 2),
    "lstm": lambda: updates.CoordinatewiseLSTM(units=4, output_scale=1.0),
    "hierarchical_rnn": lambda: updates.HierarchicalRNN(sizes=(3, 4, 4)),
}


# By itself each rule is held to central differences in tests/conformance/test_rules.py.
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("layer_rates", "lstm") else pytest.param(name, marks=pytest.mark.slow)
        for name in RULES
    ],
)
def test_meta_gradient_through_an_update_rule_is_the_central_difference(name):
    """In the initial weights and the rule's parameters at once."""
    model, rule = classifier(*LAYERS["dense"]), RULES[name]()
    rule.build([variable.shape for variable in model.trainable_variables])
    random = np.random.default_rng(3)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
    assert relative_error(model, make_tasks(VECTOR), update_rule=rule) < 1e-6


@pytest.mark.parametrize("vectorized", [False, True], ids=["one by one", "vectorized"])
def test_meta_gradient_through_gauss_newton_steps_is_the_central_difference(vectorized):
    """Of the error on the query set and the surprise of the start, in weights and variances."""
    model, rule = classifier(VECTOR, activations("tanh")), updates.GaussNewton(0.3, 2)
    rule.build([variable.shape for variable in model.trainable_variables])
    random = np.random.default_rng(3)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
    arguments = {"update_rule": rule, "vectorized": vectorized, "in_graph": True}
    assert relative_error(model, regression(), "mse", **arguments) < 1e-6


def test_random_draws_come_from_the_seed_of_the_task():
    tasks = make_tasks(VECTOR)
    learner = tfmeta.MAML(classifier(*LAYERS["dropout"]))
    learner.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    @tf.function(autograph=False)
    def loss(tasks):
        return learner.meta_gradient(tasks)[0].loss

    assert loss(tasks) == loss(tasks)
    assert loss(tasks) != loss({**tasks, "seed": tasks["seed"] + 1})


STOCK = {
    "batch": layers.BatchNormalization,
    "layer": layers.LayerNormalization,
    "group": lambda: layers.GroupNormalization(1),
}


@pytest.mark.parametrize("name", STOCK)
def test_second_order_refuses_normalization_by_keras(name):
    model = classifier(IMAGE, lambda x: STOCK[name]()(conv(x)))
    with pytest.raises(tfmeta.ArgumentError, match=f"{name}_normalization.*tfmeta.layers"):
        tfmeta.MAML(model)


def test_normalization_by_keras_would_be_off_in_second_order(monkeypatch):
    monkeypatch.setattr(keras_model, "check", lambda model, second_order: None)
    # A hundred times what every layer above keeps to.
    assert through(IMAGE, lambda x: layers.BatchNormalization()(conv(x))) > 1e-4
