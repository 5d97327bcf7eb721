"""Data sets of meta-batches: what they may hold, and how they end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta

SHAPES = {"support_x": (4, 2), "support_y": (4,), "query_x": (6, 2), "query_y": (6,)}


def learner():
    made = tfmeta.MAML(tfmeta.models.mlp((2,), 3, seed=0), vectorized=True)
    made.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return made


def tasks(count=2, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: random.normal(size=[count, *shape]).astype("float32")
        if name.endswith("x")
        else random.integers(0, 3, [count, *shape]).astype("int32")
        for name, shape in SHAPES.items()
    }


def dataset(batch):
    return tf.data.Dataset.from_tensors(batch)


def generated(batches, known=True):
    """A data set that knows neither its length nor, unless `known`, its shapes."""
    shapes = {name: [None, *shape] if known else None for name, shape in SHAPES.items()}
    return tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            name: tf.TensorSpec(shapes[name], tf.float32 if name.endswith("x") else tf.int32)
            for name in SHAPES
        },
    )


def ragged(batch):
    return {**batch, "support_x": tf.RaggedTensor.from_tensor(batch["support_x"])}


BAD = {
    "x=query_y: a meta-batch lacks this entry": lambda b: {
        n: t for n, t in b.items() if n != "query_y"
    },
    "x=suport_weight: nobody reads this entry": lambda b: {**b, "suport_weight": np.ones([2, 4])},
    "x=support_x: it holds a RaggedTensorSpec; .*_weight 0": ragged,
    "x=support_y: it has 3 examples, but support_x has 4": lambda b: {
        **b,
        "support_y": b["support_y"][:, :3],
    },
    "x=query_weight: it has 5 examples, but query_x has 6": lambda b: {
        **b,
        "query_weight": np.ones([2, 5]),
    },
    "x=seed: it has 3 tasks, but support_x has 2": lambda b: {
        **b,
        "seed": np.zeros([3, 2], np.int32),
    },
    "x=tuple: give meta-batches": lambda b: tuple(b.values()),
}


@pytest.mark.parametrize("sentence", BAD)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_bad_meta_batches_are_refused_by_name(sentence, method):
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        getattr(learner(), method)(dataset(BAD[sentence](tasks())), verbose=0)


def test_weights_of_classes_are_refused():
    with pytest.raises(tfmeta.ArgumentError, match="class_weight.*support_weight"):
        learner().fit(dataset(tasks()), class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize("name", ["support_y", "query_y"])
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_labels_outside_of_the_outputs_are_refused(name, method):
    batch = tasks()
    batch[name][1, 2] = 3
    with pytest.raises(tfmeta.ArgumentError, match=f"{name}=. to 3: the network has 3 outputs"):
        getattr(learner(), method)(dataset(batch), verbose=0)


def test_a_data_set_of_unknown_length_is_counted_right():
    batches = [tasks(seed=seed) for seed in range(3)]
    found, expected = learner(), learner()
    known = tf.data.Dataset.from_tensor_slices(
        {name: np.stack([batch[name] for batch in batches]) for name in SHAPES}
    )
    for made, data in ((found, generated(batches)), (expected, known)):
        made.told = made.evaluate(data, verbose=0)
        made.logs = made.fit(data, epochs=2, verbose=0).history
    assert found.told == pytest.approx(expected.told)
    assert found.optimizer.iterations == 6
    for name, values in expected.logs.items():
        assert found.logs[name] == pytest.approx(values)


def test_shapes_that_the_model_knows_may_be_unknown():
    spec = {
        n: tf.TensorSpec([None, *s], tf.float32 if n[-1] == "x" else tf.int32)
        for n, s in SHAPES.items()
    }
    data = generated([tasks()], known=False).map(
        lambda batch: {
            n: tf.ensure_shape(t, spec[n].shape) if n.endswith("y") else t for n, t in batch.items()
        }
    )
    assert data.element_spec["support_x"].shape.rank is None
    assert learner().evaluate(data, verbose=0) == pytest.approx(
        learner().evaluate(dataset(tasks()), verbose=0)
    )


def test_other_unknown_shapes_are_to_be_set():
    with pytest.raises(tfmeta.ArgumentError, match="x=support_y: .* set_shape"):
        learner().evaluate(generated([tasks()], known=False), verbose=0)


def test_what_is_built_into_graphs_is_not_set():
    made = learner()
    made.inner_steps = 2
    made.fit(dataset(tasks()), verbose=0)
    with pytest.raises(tfmeta.ArgumentError, match="inner_steps=3: .*compile"):
        made.inner_steps = 3
    made.compile("sgd", made.loss)
    made.inner_steps = 3


def test_unfreezing_and_compiling_anew_is_seen_by_every_graph():
    made = learner()
    first = made.model.layers[1]
    batch = {name: tf.constant(array) for name, array in tasks().items()}
    moved = []
    for trainable in (True, False, True):
        first.trainable = trainable
        made.compile("sgd", made.loss, metrics=["accuracy"])
        before = first.get_weights()[0]
        made.fit(dataset(batch), verbose=0)
        adapted = made.adapt(batch["support_x"][0], batch["support_y"][0])
        predictions = made.adaptation(batch, 1)[1]
        expected = adapted(batch["query_x"][0])
        np.testing.assert_allclose(predictions[0, -1], expected, rtol=1e-4, atol=1e-5)
        moved.append(not np.array_equal(before, first.get_weights()[0]))
    assert moved == [True, False, True]
