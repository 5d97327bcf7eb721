"""Dense networks that classify real images."""

import numpy as np
import tensorflow as tf

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError
from tfmeta.problems.dense_networks import DenseNetworks
from tfmeta.problems.in_memory import in_outermost_graph


class ImageNetworks(DenseNetworks):
    """Training a dense network on images (Andrychowicz et al. 2016, section 3.2).

    All problems share the images and differ in their first weights and their batches. An input is
    the pixels of an image, scaled to [0, 1]. Weights and biases start as 0.01 N(0, 1), as in the
    public code. Of each class one image in five, rounded down, is held out: always the same ones,
    whatever the seed, so that they stay unseen from training to test.

    Args:
        images: at least two classes, with at least five images each.
        hidden: how many units each hidden layer has.
        activation: of the hidden layers, `"sigmoid"` or `"relu"`.
        classes: how many of the classes to tell apart, the first ones; None for all.
        batch_size: how many images the loss of a step sees.
        seed: seed of the problems.
        invert: show 255 - pixel instead, so that ink on paper is bright on black, as in MNIST. On
            white paper the first steps move all units alike, and little is learned in 100.
        dtype: of everything but the labels.

    Raises:
        ArgumentError: an argument is out of range, or there are too few images.
    """

    def __init__(
        self,
        images: ImageClasses,
        hidden: tuple[int, ...] = (20,),
        activation: str = "sigmoid",
        classes: int | None = None,
        batch_size: int = 128,
        seed: int = 0,
        invert: bool = False,
        dtype: str = "float32",
    ):
        classes = len(images) if classes is None else classes
        if not 2 <= classes <= len(images):
            raise ArgumentError(
                "classes", classes, f"give a number from 2 to {len(images)}, which the data has."
            )
        fewest = images.counts[:classes].min()
        if fewest < 5:
            raise ArgumentError(
                "images",
                f"{fewest} of a class",
                "one in five is held out; give classes with at least 5 images.",
            )
        pixels = int(np.prod(images.image_shape))
        super().__init__((pixels, *hidden, classes), activation, batch_size, seed, dtype)
        units = "_".join(map(str, hidden))
        self.name = f"image_network_{units}" + ("_relu" if activation == "relu" else "")
        training, held_out = _split(images, classes)
        # Made outside any graph, so that all graphs share them.
        with tf.init_scope():
            self._training = self._examples(images, training, invert)
            self._held_out = self._examples(images, held_out, invert)

    def _examples(self, images, rows, invert):
        pixels = images.images[rows].reshape(len(rows), -1)
        x = (255 - pixels if invert else pixels).astype(self.dtype) / 255
        y = np.searchsorted(np.cumsum(images.counts), rows, side="right")
        return tf.constant(x, self.dtype), tf.constant(y, tf.int32)

    def start_deviation(self, shape):
        return 0.01

    def tasks(self, seeds):
        return {"weights": self.start(seeds), "data": ()}

    def training(self, data):
        return in_outermost_graph(lambda: self._training)

    def held_out(self, data):
        return in_outermost_graph(lambda: self._held_out)


def _split(images: ImageClasses, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images for training and of those held out, of the first classes."""
    rng = np.random.default_rng(0)
    training, held_out = [], []
    for offset, count in zip(images.offsets[:classes], images.counts[:classes], strict=True):
        rows = offset + rng.permutation(count)
        held_out.append(rows[: count // 5])
        training.append(rows[count // 5 :])
    return np.concatenate(training), np.concatenate(held_out)
