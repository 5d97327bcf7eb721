"""What `compile` says means what it means to Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta import random_numbers

SUPPORT, QUERY = 4, 6


def one_output(units, activation=None):
    inputs = keras.Input([3])
    return keras.Model(inputs, layers.Dense(units, activation)(layers.Dense(5, "tanh")(inputs)))


def two_outputs(as_dictionary):
    inputs = keras.Input([3])
    x = layers.Dense(5, "tanh")(inputs)
    a, b = layers.Dense(1, name="a")(x), layers.Dense(3, "softmax", name="b")(x)
    return keras.Model(inputs, {"a": a, "b": b} if as_dictionary else [a, b])


def words():
    """Labels each word, and masks the padding."""
    inputs = keras.Input([5], dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.SimpleRNN(4, return_sequences=True)(x)))


def numbers(*shape):
    return lambda random, count: random.normal(size=[count, *shape]).astype("float32")


def classes(most, *shape, dtype="int32"):
    return lambda random, count: random.integers(0, most, [count, *shape]).astype(dtype)


def one_hot(random, count):
    return np.eye(3, dtype="float32")[random.integers(0, 3, count)]


def own_loss(y, prediction):
    return keras.ops.mean(keras.ops.abs(y - prediction) ** 1.5, axis=-1)


def sequences(random, count):
    tokens = random.integers(1, 7, [count, 5]).astype("int32")
    tokens[:, 3:] *= random.integers(0, 2, [count, 2])
    return tokens


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BOTH = (numbers(1), classes(3))
# Of each: the model, what makes its inputs and labels, and what `compile` is told.
CASES = {
    "sigmoid": (
        lambda: one_output(1, "sigmoid"),
        numbers(3),
        classes(2),
        {"loss": "binary_crossentropy", "metrics": ["accuracy"]},
    ),
    "hinge": (lambda: one_output(1), numbers(3), numbers(), {"loss": "hinge"}),
    "poisson": (
        lambda: one_output(1, "softplus"),
        numbers(3),
        classes(4, dtype="float32"),
        {"loss": "poisson", "metrics": ["mae"]},
    ),
    "function": (lambda: one_output(1), numbers(3), numbers(), {"loss": own_loss}),
    "one hot": (
        lambda: one_output(3, "softmax"),
        numbers(3),
        one_hot,
        {"loss": "categorical_crossentropy", "metrics": ["accuracy", "auc"]},
    ),
    "object": (
        lambda: one_output(3),
        numbers(3),
        classes(3),
        {"loss": SPARSE, "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    ),
    "list": (
        lambda: two_outputs(False),
        numbers(3),
        BOTH,
        {"loss": ["mse", "sparse_categorical_crossentropy"], "loss_weights": [0.3, 2.0]},
    ),
    "dictionary": (
        lambda: two_outputs(True),
        numbers(3),
        dict(zip("ab", BOTH, strict=True)),
        {
            "loss": {"a": "mse", "b": "sparse_categorical_crossentropy"},
            "loss_weights": {"a": 0.3, "b": 2.0},
            "metrics": {"a": ["mae"], "b": ["accuracy"]},
        },
    ),
    "mask": (words, sequences, classes(3, 5), {"loss": SPARSE, "metrics": ["accuracy"]}),
}


def fresh(compiled):
    """With a loss of the present float type."""
    if compiled["loss"] is not SPARSE:
        return compiled
    return {**compiled, "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}


def made(makers, random, count):
    return tf.nest.map_structure(lambda make: make(random, count), makers)


def task(x, y, weighted):
    random = np.random.default_rng(0)
    task = {
        f"{part}_{name}": made(maker, random, count)
        for part, count in (("support", SUPPORT), ("query", QUERY))
        for name, maker in (("x", x), ("y", y))
    }
    if weighted:
        for part in ("support", "query"):
            # With a mask, Keras takes weights of the shape of the mask alone.
            shape = tf.nest.flatten(task[f"{part}_y"])[0].shape if x is sequences else None
            shape = shape or (SUPPORT if part == "support" else QUERY)
            task[f"{part}_weight"] = random.uniform(0.5, 2, shape).astype("float32")
    return task


def dataset(*tasks):
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *t: np.stack(t)[None], *tasks)
    )


def some(names):
    """All cases, in the daily tests those of these names."""
    return [n if n in names else pytest.param(n, marks=pytest.mark.slow) for n in CASES]


@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", some(["sigmoid", "function", "one hot", "dictionary", "mask"]))
def test_a_task_is_measured_as_keras_measures_the_adapted_model(case, weighted):
    network, x, y, compiled = CASES[case]
    keras.utils.set_random_seed(0)
    learner = tfmeta.MAML(network(), inner_learning_rate=0.1, inner_steps=2)
    learner.compile("sgd", **compiled)
    one = task(x, y, weighted)
    found = learner.evaluate(dataset(one), verbose=0, return_dict=True)

    model = learner.adapt(
        one["support_x"], one["support_y"], sample_weight=one.get("support_weight")
    )
    model.compile("sgd", **compiled)
    expected = model.evaluate(
        one["query_x"],
        one["query_y"],
        sample_weight=one.get("query_weight"),
        batch_size=QUERY,
        verbose=0,
        return_dict=True,
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", some(["hinge", "dictionary"]))
def test_training_moves_the_start_along_the_gradient_of_the_adapted_loss(case, float64):
    """Against a step by hand, of one inner step, both with Keras's own loss."""
    network, x, y, compiled = CASES[case]
    keras.utils.set_random_seed(0)
    model, compiled = network(), fresh(compiled)
    learner = tfmeta.MAML(model, inner_learning_rate=0.1)
    learner.compile(keras.optimizers.SGD(1.0), **compiled)
    one = task(x, y, weighted=True)
    one = tf.nest.map_structure(lambda a: a.astype("float64") if a.dtype == np.float32 else a, one)
    own = keras.models.clone_model(model)
    own.compile(**compiled)

    def loss(weights, part):
        state = own.non_trainable_variables
        prediction, _ = own.stateless_call(weights, state, one[f"{part}_x"], training=True)
        return own.compute_loss(None, one[f"{part}_y"], prediction, one[f"{part}_weight"])

    weights = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    with tf.GradientTape() as outer:
        outer.watch(weights)
        with tf.GradientTape() as inner:
            inner.watch(weights)
            first = loss(weights, "support")
        steps = inner.gradient(first, weights)
        adapted = [w - 0.1 * tf.convert_to_tensor(g) for w, g in zip(weights, steps, strict=True)]
        last = loss(adapted, "query")
    expected = [tf.convert_to_tensor(g) for g in outer.gradient(last, weights)]
    learner.fit(dataset(one), verbose=0)
    for old, new, gradient in zip(weights, model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, rtol=0, atol=1e-9)


def test_padding_of_weight_zero_counts_for_nothing():
    """A smaller task, padded to the size of the others, with a loss that divides by the weights."""
    network, x, y, _ = CASES["object"]
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    keras.utils.set_random_seed(0)
    learner = tfmeta.MAML(network(), inner_learning_rate=0.1)
    learner.compile("sgd", loss, weighted_metrics=["accuracy"])
    one = task(x, y, weighted=False)
    padded = {
        **{n: np.concatenate([a, np.ones_like(a)]) for n, a in one.items()},
        "support_weight": np.repeat([1.0, 0.0], SUPPORT).astype("float32"),
        "query_weight": np.repeat([1.0, 0.0], QUERY).astype("float32"),
    }
    found, expected = (
        learner.evaluate(dataset(t), verbose=0, return_dict=True) for t in (padded, one)
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_evaluation_reports_the_compiled_metrics():
    """One sigmoid output: the accuracy is that of the side of one half, for each task alone."""

    class Halves(tfmeta.TaskSource):
        def tasks(self, seeds):
            x = tf.cast(random_numbers.uniform(seeds, (12, 3)), tf.float32)
            y = tf.cast(x[..., 0] > 0.5, tf.int32)
            return {
                "support_x": x[:, :4],
                "support_y": y[:, :4],
                "query_x": x[:, 4:],
                "query_y": y[:, 4:],
            }

    learner = tfmeta.MAML(one_output(1, "sigmoid"), inner_learning_rate=0.1)
    learner.compile("sgd", "binary_crossentropy", metrics=["accuracy", "mae"])
    source = Halves(seed=0)
    results = tfmeta.evaluate(learner, source, 6, 2).results()
    expected = []
    tasks = source.batch(0, 0, 6)
    for number in range(6):
        one = {name: tensor[number].numpy() for name, tensor in tasks.items()}
        model = learner.adapt(one["support_x"], one["support_y"], 2)
        side = model.predict(one["query_x"], verbose=0)[:, 0] > 0.5
        expected.append(np.mean(side == (one["query_y"] == 1)))
    assert results["accuracy"] == pytest.approx(100 * np.mean(expected))
    assert {"loss", "accuracy_before", "ci95", "mae", "mae_ci95"} <= results.keys()
