import numpy as np
import pytest
import tensorflow as tf

from tfmeta.data.glyphs import glyphs
from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError
from tfmeta.problems.image_network import ImageNetworks


@pytest.fixture(scope="module")
def images():
    """Five classes of 3x2 images, the first pixel of which is the number of the class."""
    rng = np.random.default_rng(0)
    counts = np.array([10, 20, 15, 12, 5])
    pixels = rng.integers(0, 256, size=[counts.sum(), 3, 2, 1], dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.repeat(np.arange(5), counts)
    return ImageClasses(pixels, counts, tuple("abcde"))


def problems(images, **arguments):
    return ImageNetworks(images, **{"hidden": (4,), "dtype": "float64", **arguments})


@pytest.mark.parametrize(
    "arguments", [{}, {"hidden": (4, 3)}, {"hidden": (4,), "activation": "relu"}]
)
def test_derivatives(check_derivatives, images, arguments):
    check_derivatives(problems(images, **arguments))


def test_names_tell_networks_apart(images):
    names = [
        problems(images, **arguments).name
        for arguments in ({}, {"hidden": (4, 4)}, {"activation": "relu"})
    ]
    assert names == ["image_network_4", "image_network_4_4", "image_network_4_relu"]


def test_one_in_five_images_of_each_class_is_held_out(images):
    family = problems(images)
    (x, y), (held_out_x, held_out_y) = family.training(()), family.held_out(())
    assert np.bincount(y).tolist() == [8, 16, 12, 10, 4]
    assert np.bincount(held_out_y).tolist() == [2, 4, 3, 2, 1]
    for pixels, labels in ((x, y), (held_out_x, held_out_y)):
        np.testing.assert_allclose(pixels[:, 0], labels / 255)
    everything = np.sort(np.concatenate([x, held_out_x]), axis=0)
    np.testing.assert_array_equal(everything, np.sort(images.images.reshape(62, 6) / 255, axis=0))
    for again in (problems(images, seed=7), problems(images, hidden=(9,))):
        np.testing.assert_array_equal(again.held_out(())[0], held_out_x)


def test_the_first_classes_alone(images):
    family = problems(images, classes=3)
    assert np.bincount(family.training(())[1]).tolist() == [8, 16, 12]
    assert [tensor.shape[1:] for tensor in family.batch(0, 0, 1)["weights"]] == [
        (6, 4), (4,), (4, 3), (3,)
    ]  # fmt: skip


def test_inverted_images_are_the_negative(images):
    for bright, dark in zip(
        problems(images).held_out(()), problems(images, invert=True).held_out(()), strict=True
    ):
        expected = 1 - bright if bright.dtype == tf.float64 else bright
        np.testing.assert_allclose(dark, expected, atol=1e-12)


def test_weights_start_small(images):
    for tensor in problems(images, hidden=(20,)).batch(0, 0, 50)["weights"]:
        assert abs(np.std(tensor) - 0.01) < 0.0015 and abs(np.mean(tensor)) < 0.0015


def test_losses_of_a_network_transcribed(images):
    family = problems(images, hidden=(4, 3), activation="relu")
    weights = [tf.constant(np.random.default_rng(1).normal(size=s)) for s in family.shapes]
    w1, b1, w2, b2, w3, b3 = (w.numpy() for w in weights)
    x, y = (tensor.numpy() for tensor in family.held_out(()))
    hidden = np.maximum(0, np.maximum(0, x @ w1 + b1) @ w2 + b2)
    logits = hidden @ w3 + b3
    likely = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = family.held_out_loss(weights, ())
    np.testing.assert_allclose(loss, -likely[np.arange(len(y)), y].mean())
    np.testing.assert_allclose(family.score(weights, ()), (logits.argmax(1) == y).mean())
    losses = [family.loss(weights, (), tf.constant([0, i])) for i in range(300)]
    full = family.full_loss(weights, ())
    assert abs(np.mean(losses) - full) < 4 * np.std(losses) / np.sqrt(300)


def test_training_lowers_the_held_out_loss():
    family = ImageNetworks(glyphs(classes=10), hidden=(20,), invert=True)
    task = tf.nest.map_structure(lambda tensor: tensor[0], family.batch(0, 0, 1))

    @tf.function(autograph=False)
    def step(weights, index):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = family.loss(weights, (), tf.stack([0, index]))
        gradients = tape.gradient(loss, weights)
        return [w - 1.0 * g for w, g in zip(weights, gradients, strict=True)]

    weights = task["weights"]
    before = family.held_out_loss(weights, ())
    for index in tf.range(100):
        weights = step(weights, index)
    assert abs(before - np.log(10)) < 0.05
    assert family.held_out_loss(weights, ()) < before / 2
    assert family.score(weights, ()) > 0.5


def test_bad_arguments(images):
    for arguments, argument in (
        ({"classes": 6}, "classes"),
        ({"classes": 1}, "classes"),
        ({"hidden": (0,)}, "sizes"),
        ({"activation": "tanh"}, "activation"),
    ):
        with pytest.raises(ArgumentError, match=f"^{argument}"):
            problems(images, **arguments)
    few = ImageClasses(images.images[:8], np.array([4, 4]), ("a", "b"))
    with pytest.raises(ArgumentError, match="^images=4 of a class: one in five is held out"):
        problems(few)
