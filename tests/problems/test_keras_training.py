import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta import layers
from tfmeta.errors import ArgumentError
from tfmeta.problems.keras_training import KerasModelProblems


def network(*hidden, outputs=3, dtype="float64"):
    return keras.Sequential(
        [
            keras.Input((4,), dtype=dtype),
            *hidden,
            keras.layers.Dense(5, activation="tanh", dtype=dtype),
            keras.layers.Dense(outputs, dtype=dtype),
        ]
    )


def examples(count, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[count, 4])
    return x, (x @ rng.normal(size=[4, 3])).argmax(1)


def batches(count=20, size=5, seed=0):
    return tf.data.Dataset.from_tensor_slices(examples(count, seed)).batch(size)


def from_generator(count=None):
    """Batches of a generator, without end if no count is given."""

    def generate():
        for _ in itertools.repeat(None) if count is None else range(count):
            yield examples(5)

    spec = (tf.TensorSpec([None, 4], tf.float64), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)


def of_sizes(*sizes):
    """Batches of so many examples each."""
    parts = [tf.data.Dataset.from_tensors(examples(size)) for size in sizes]
    joined = functools.reduce(tf.data.Dataset.concatenate, parts)
    return joined.apply(tf.data.experimental.assert_cardinality(len(sizes)))


def cross_entropy(y, prediction):
    return keras.losses.sparse_categorical_crossentropy(y, prediction, from_logits=True)


def problems(model=None, **arguments):
    return KerasModelProblems(
        model or network(),
        cross_entropy,
        **{"dataset": batches(), "held_out": batches(seed=1), **arguments},
    )


def starts(family, first, last):
    """The first weights of problems, made in a graph as learners do."""
    return tf.function(family.batch, autograph=False)(0, first, last)["weights"]


def first(family):
    return [tensor[0] for tensor in starts(family, 0, 1)]


def test_derivatives(check_derivatives):
    check_derivatives(problems(vectorizable=True))


def test_starts_are_drawn_from_the_initializers_by_seed():
    model = network()
    before = model.get_weights()
    family = problems(model)
    together, alone = starts(family, 0, 3), starts(family, 1, 2)
    for tensor, single, own in zip(together, alone, before, strict=True):
        np.testing.assert_array_equal(tensor[1:2], single)
        if own.ndim == 1:
            np.testing.assert_array_equal(tensor, np.zeros([3, *own.shape]))
            continue
        bound = np.sqrt(6 / sum(own.shape))  # Glorot and Bengio's
        assert tensor.dtype == tf.float64 and np.all(np.abs(tensor) <= bound)
        assert not np.allclose(tensor[0], tensor[1]) and not np.allclose(tensor[0], own)
    for weight, own in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, own)


def test_two_layers_with_one_initializer_start_differently():
    shared = keras.initializers.HeNormal(seed=0)
    model = keras.Sequential(
        [keras.Input((4,)), *[keras.layers.Dense(4, kernel_initializer=shared) for _ in range(2)]]
    )
    kernel, _, other, _ = first(problems(model))
    assert not np.allclose(kernel, other)
    kernels = starts(problems(model), 0, 500)[0]
    assert abs(np.mean(kernels)) < 0.03 and abs(np.std(kernels) - np.sqrt(2 / 4)) < 0.03


@pytest.mark.parametrize(
    "layer, random",
    [
        (keras.layers.SeparableConv1D(3, 2), {"depthwise_kernel", "pointwise_kernel"}),
        (keras.layers.DepthwiseConv1D(2), {"kernel"}),
        (keras.layers.LSTM(3), {"kernel", "recurrent_kernel"}),
        (layers.LayerNormalization(), set()),
        (keras.layers.MultiHeadAttention(2, 3), {"kernel"}),
    ],
)
def test_initializers_of_many_layers(layer, random):
    inputs = keras.Input((6, 4))
    outputs = layer(inputs, inputs) if "Attention" in type(layer).__name__ else layer(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(outputs))
    data = tf.data.Dataset.from_tensors((tf.zeros([5, 6, 4]), tf.zeros([5, 1])))
    weights = starts(KerasModelProblems(model, "mse", data), 0, 2)
    for variable, start in zip(model.trainable_variables, weights, strict=True):
        drawn = not np.allclose(start[0], start[1])
        assert drawn == (variable.name in random), variable.path
        if not drawn:
            # Among them the 1 that Keras adds to the bias of the forget gate.
            np.testing.assert_array_equal(start[0], variable.value)


def test_losses_are_those_of_the_model():
    model = network()
    family = problems(model)
    weights = first(family)
    model.set_weights([weight.numpy() for weight in weights])
    x, y = examples(20)
    each = cross_entropy(y, model(x)).numpy()
    np.testing.assert_allclose(family.full_loss(weights, ()), each.mean())
    x, y = examples(20, seed=1)
    logits = model(x).numpy()
    expected = cross_entropy(y, logits).numpy().mean()
    np.testing.assert_allclose(family.held_out_loss(weights, ()), expected)
    assert family.metric == "accuracy"
    expected = (logits.argmax(1) == y).mean()
    np.testing.assert_allclose(family.score(weights, ()), expected)
    # Over many seeds every batch has its turn, and nothing else.
    losses = {float(family.loss(weights, (), tf.constant([0, i]))) for i in range(40)}
    np.testing.assert_allclose(sorted(losses), np.sort(each.reshape(4, 5).mean(1)))


def test_labels_of_another_shape_and_type():
    x, y = examples(20)
    flat = problems(held_out=batches(20))
    column = tf.data.Dataset.from_tensor_slices((x, y.astype(np.uint8)[:, None])).batch(5)
    family = problems(held_out=column)
    assert family.score(first(flat), ()) == flat.score(first(flat), ())


def test_full_loss_has_a_gradient_for_many_problems_at_once():
    family = problems(vectorizable=True)
    weights = starts(family, 0, 2)

    def gradient(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = family.full_loss(weights, ())
        return tape.gradient(loss, weights)

    mapped = tf.vectorized_map(gradient, weights, fallback_to_while_loop=False)
    for index in range(2):
        alone = gradient([tensor[index] for tensor in weights])
        for tensor, expected in zip(mapped, alone, strict=True):
            np.testing.assert_allclose(tensor[index], expected, atol=1e-12)


def test_without_class_numbers_or_held_out_data_there_is_no_metric():
    family = problems(held_out=None)
    weights = first(family)
    assert family.metric is None
    assert family.held_out_loss(weights, ()) == family.full_loss(weights, ())
    x, _ = examples(20)
    targets = tf.data.Dataset.from_tensor_slices((x, x[:, :3])).batch(5)
    family = KerasModelProblems(network(), "mse", targets, held_out=targets)
    assert family.metric is None
    with pytest.raises(NotImplementedError):
        family.score(first(family), ())


def test_dropout_draws_from_the_seed_in_the_loss_alone():
    one_batch = batches(5)
    family = problems(network(keras.layers.Dropout(0.5)), dataset=one_batch)
    weights = first(family)
    losses = [family.loss(weights, (), tf.constant([0, i])) for i in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    plain = problems(dataset=one_batch)
    np.testing.assert_allclose(family.full_loss(weights, ()), plain.full_loss(weights, ()))


@pytest.mark.parametrize("statistics", ["transductive", "running"])
def test_batch_normalization_takes_the_statistics_of_the_batch(statistics):
    layer = layers.BatchNormalization(statistics=statistics, dtype="float64")
    model = network(layer)
    family = problems(model, dataset=batches(5))
    weights = first(family)
    before = model.get_weights()
    loss = family.loss(weights, (), tf.constant([0, 0]))
    np.testing.assert_allclose(family.full_loss(weights, ()), loss)
    x, y = examples(5)
    normalized = (x - x.mean(0)) / np.sqrt(x.var(0) + layer.epsilon)
    w1, b1, w2, b2 = (weight.numpy() for weight in weights[2:])
    logits = np.tanh(normalized @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(loss, cross_entropy(y, tf.constant(logits)).numpy().mean())
    for weight, own in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, own)


@pytest.mark.parametrize("argument", ["dataset", "held_out"])
def test_a_last_batch_of_fewer_examples_is_left_out_with_a_warning(argument):
    sentence = f"{argument}: the last batch has 2 examples, the others 5; it is left out"
    with pytest.warns(UserWarning, match=sentence):
        family = problems(**{argument: batches(22)})
    x, y = {"dataset": family._training, "held_out": family._held_out}[argument]
    assert x.shape == (4, 5, 4) and y.shape == (4, 5)
    np.testing.assert_array_equal(np.concatenate(x), examples(22)[0][:20])


def test_the_end_of_a_generator_is_given():
    counted = from_generator(3).apply(tf.data.experimental.assert_cardinality(3))
    assert problems(dataset=counted)._training[0].shape == (3, 5, 4)
    endless = from_generator().take(2).apply(tf.data.experimental.assert_cardinality(2))
    assert problems(dataset=endless)._training[0].shape == (2, 5, 4)


UNKNOWN = "dataset=of unknown length: say how many batches it has: .*assert_cardinality"
PAIRS = "dataset=.*: give batches .x, y. of one tensor each"


@pytest.mark.parametrize(
    "dataset, message",
    [
        (batches().repeat(), "dataset=endless: give as many batches as memory holds"),
        (from_generator(), UNKNOWN),
        (from_generator(3), UNKNOWN),
        (batches().filter(lambda x, y: True), UNKNOWN),
        (batches().take(0), "dataset=empty: give at least one batch"),
        (tf.data.Dataset.from_tensor_slices(examples(20)), PAIRS),
        (batches().map(lambda x, y: x), PAIRS),
        (batches().map(lambda x, y: {"x": x, "y": y}), PAIRS),
        (batches().map(lambda x, y: ({"a": x}, y)), PAIRS),
        (batches().map(lambda x, y: (x, y, y)), "dataset=.*: .*without weights of examples"),
        (
            batches().map(lambda x, y: (tf.RaggedTensor.from_tensor(x), y)),
            "dataset=.*: make its tensors dense",
        ),
        (
            batches().map(lambda x, y: (tf.sparse.from_dense(x), y)),
            "dataset=.*: make its tensors dense",
        ),
        (of_sizes(5, 3, 5), r"dataset=batch 2: .* \(3, 4\) and \(3,\), in the first .*one shape"),
        (of_sizes(5, 5, 7), r"dataset=batch 3: .* \(7, 4\) and \(7,\), in the first"),
        (
            batches().map(lambda x, y: (x, y[1:])),
            "dataset=batch 1: x has 5 examples and y 4; give as many of both",
        ),
        (
            batches().repeat(2**50),
            r"dataset=4503599627370496 batches: they need 1\.8 EB, but .*B of memory .* take.n.",
        ),
    ],
)
def test_bad_data_is_refused(dataset, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        problems(dataset=dataset)


def test_bad_models_are_refused():
    with pytest.raises(ArgumentError, match="^model=.*it has no weights yet; build it first"):
        problems(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(ArgumentError, match="the second derivative of its layer .* is not exact"):
        problems(network(keras.layers.Dense(4), keras.layers.BatchNormalization()))
    inputs = [keras.Input((4,)), keras.Input((4,))]
    two = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Add()(inputs)))
    with pytest.raises(ArgumentError, match="give a model with one input tensor"):
        problems(two)
    frozen = network()
    frozen.trainable = False
    with pytest.raises(ArgumentError, match="it has no trainable weights"):
        problems(frozen)
