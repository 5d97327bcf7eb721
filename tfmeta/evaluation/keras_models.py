"""Keras models and their data, to train by `fit` with any optimizer."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from sklearn import datasets

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import DivergedError

CLASSES = 10  # of images
HELD_OUT = 5  # one of so many examples is
WINDOW = 64  # characters that the transformer sees
_WIDTH = 32  # of the transformer


class Data(NamedTuple):
    """What a model is trained on, and what it never sees.

    Attributes:
        x: inputs `[examples, ...]`.
        y: targets `[examples, ...]`.
        held_out_x: other inputs.
        held_out_y: their targets.
    """

    x: np.ndarray
    y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray


@dataclasses.dataclass(frozen=True)
class KerasTask:
    """A model and its data.

    Attributes:
        data: maps a seed, which divides the data, and images, if there are any, to the data.
        model: makes the model for them, as yet without weights that any training has moved.
        loss: as `compile` takes it.
        epochs: how long it is trained.
        classifies: whether it has an accuracy.
        needs_images: whether the data are made of images.
    """

    data: Callable[[int, ImageClasses | None], Data]
    model: Callable[[Data], keras.Model]
    loss: str | keras.losses.Loss
    epochs: int
    classifies: bool = True
    needs_images: bool = False

    def train(
        self,
        data: Data,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
        epochs: int | None = None,
    ) -> dict[str, float]:
        """Trains a new model.

        Args:
            data: as `data` makes them.
            optimizer: a new one.
            seed: of the first weights and of the order of batches.
            epochs: by default those of the task.

        Returns:
            `loss` on the training data and `held_out_loss`; where it classifies also `accuracy` and
            `held_out_accuracy`, in per cent. All are inf if a loss is not finite in the end, or the
            optimizer gave up.
        """
        keras.utils.set_random_seed(seed)
        model = self.model(data)
        metrics = ["accuracy"] if self.classifies else []
        model.compile(optimizer, loss=self.loss, metrics=metrics)
        names = ["loss", "accuracy"] if self.classifies else ["loss"]
        try:
            model.fit(data.x, data.y, batch_size=32, epochs=epochs or self.epochs, verbose=0)
        except DivergedError:
            ended = np.full([2, len(names)], np.inf)
        else:
            parts = ((data.x, data.y), (data.held_out_x, data.held_out_y))
            ended = np.array(
                [np.ravel(model.evaluate(x, y, batch_size=256, verbose=0)) for x, y in parts]
            )
            if not np.isfinite(ended).all():
                ended = np.full_like(ended, np.inf)
        ended *= np.array([1.0, 100.0])[: len(names)]
        return {
            f"{part}{name}": float(value)
            for part, values in zip(("", "held_out_"), ended, strict=True)
            for name, value in zip(names, values, strict=True)
        }


def _divided(x: np.ndarray, y: np.ndarray, seed: int) -> Data:
    """One in `HELD_OUT` examples, drawn at random, is held out."""
    order = np.random.default_rng(seed).permutation(len(x))
    held_out, training = np.split(order, [len(x) // HELD_OUT])
    return Data(x[training], y[training], x[held_out], y[held_out])


def _digits(seed: int, images: ImageClasses | None) -> Data:
    """1797 scanned digits of 8x8 pixels, which come with scikit-learn."""
    x, y = datasets.load_digits(return_X_y=True)
    return _divided((x / 16.0).astype(np.float32), y, seed)


def _diabetes(seed: int, images: ImageClasses | None) -> Data:
    """442 patients with 10 measures each, which come with scikit-learn; all standardized."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x, y = ((part - part.mean(0)) / part.std(0) for part in (x, y[:, None]))
    return _divided(x.astype(np.float32), y.astype(np.float32), seed)


def _drawings(seed: int, images: ImageClasses | None) -> Data:
    """The first ten classes of the images."""
    assert images is not None
    starts, counts = images.starts[:CLASSES], images.counts[:CLASSES]
    parts = [images.stored[start : start + n] for start, n in zip(starts, counts, strict=True)]
    x = (np.concatenate(parts) / 255.0).astype(np.float32)
    return _divided(x, np.repeat(np.arange(len(counts)), counts), seed)


def _characters(seed: int, images: ImageClasses | None) -> Data:
    """Windows of the help texts that come with Python, of which the last tenth is held out."""
    topics = importlib.import_module("pydoc_data.topics").topics
    text = "\n".join(topics[name] for name in sorted(topics))
    _, codes = np.unique(np.array(list(text)), return_inverse=True)
    random, first_held_out = np.random.default_rng(seed), len(codes) * 9 // 10
    parts = []
    for low, high, count in ((0, first_held_out, 1000), (first_held_out, len(codes), 200)):
        starts = random.integers(low, high - WINDOW - 1, count)
        windows = codes[starts[:, None] + np.arange(WINDOW + 1)]
        parts += [windows[:, :-1], windows[:, 1:]]
    return Data(*(part.astype(np.int32) for part in parts))


def _perceptron(data: Data) -> keras.Model:
    return keras.Sequential(
        [
            keras.layers.Input(data.x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(_outputs(data)),
        ]
    )


def _convolutional(data: Data) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(data.x.shape[1:]),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(_outputs(data)),
        ]
    )


class _Positions(keras.layers.Layer):
    """Adds a learned vector to each place of a window."""

    def build(self, shape):
        self.vectors = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, inputs):
        return inputs + self.vectors


def _transformer(data: Data) -> keras.Model:
    """One block: each character is told from those before it."""
    layers = keras.layers
    characters = int(max(data.x.max(), data.y.max(), data.held_out_y.max())) + 1
    inputs = layers.Input((WINDOW,), dtype="int32")
    x = _Positions()(layers.Embedding(characters, _WIDTH)(inputs))
    normed = layers.LayerNormalization()(x)
    x += layers.MultiHeadAttention(2, _WIDTH // 2)(normed, normed, use_causal_mask=True)
    hidden = layers.Dense(2 * _WIDTH, activation="relu")(layers.LayerNormalization()(x))
    x += layers.Dense(_WIDTH)(hidden)
    return keras.Model(inputs, layers.Dense(characters)(layers.LayerNormalization()(x)))


def _outputs(data: Data) -> int:
    """A class each, or one for a number."""
    if np.issubdtype(data.y.dtype, np.floating):
        return data.y.shape[1]
    return int(data.y.max()) + 1


def _cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


KERAS_TASKS: dict[str, KerasTask] = {
    "digits": KerasTask(_digits, _perceptron, _cross_entropy(), epochs=5),
    "regression": KerasTask(_diabetes, _perceptron, "mse", epochs=20, classifies=False),
    "transformer": KerasTask(_characters, _transformer, _cross_entropy(), epochs=5),
    "image_perceptron": KerasTask(
        _drawings, _perceptron, _cross_entropy(), epochs=10, needs_images=True
    ),
    "image_convolutional": KerasTask(
        _drawings, _convolutional, _cross_entropy(), epochs=10, needs_images=True
    ),
}
