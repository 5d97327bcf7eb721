"""MAML in tfmeta, on learn2learn's Omniglot network: our side of the speed benchmark.

A worker of any number of ranks, see `answering`.
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.data.image_classes import ImageClasses
from tfmeta.layers import BatchNormalization, Conv2D
from tfmeta.learners import MAML
from tfmeta.tasks.episodes import Episodes

from ..answering import serve
from ..settings import MAMLSetting


def omniglot_cnn(ways: int) -> keras.Model:
    """The network of learn2learn's `OmniglotCNN`, to the letter.

    It pads each strided convolution by one pixel on every side, where TensorFlow's "same" would
    pad even sides on the right alone, and gives convolutions a bias.
    """
    inputs = keras.Input([28, 28, 1])
    x = inputs
    for _ in range(4):
        x = keras.layers.ZeroPadding2D(1)(x)
        x = Conv2D(64, 3, strides=2)(x)
        x = BatchNormalization(epsilon=1e-5)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(ways)(x))


class Ours:
    """tfmeta's MAML around that network, trained with Adam.

    Args:
        setting: the fields of `MAMLSetting`.
    """

    def __init__(self, **setting: Any):
        s = MAMLSetting(**setting)
        keras.config.set_floatx(s.dtype)
        keras.config.set_dtype_policy(s.dtype)
        keras.utils.set_random_seed(s.seed)
        pixels, sizes = np.load(s.images), np.load(s.counts)
        names = tuple(str(number) for number in range(len(sizes)))
        classes = ImageClasses(pixels, sizes, names)
        self.episodes = Episodes(classes, s.ways, s.shots, s.queries, s.seed)
        self.tasks = s.meta_batch
        self.data = self.episodes.batches(
            s.meta_batch, rank=distributed.rank(), ranks=distributed.size()
        )
        self.learner = MAML(omniglot_cnn(s.ways), s.inner_learning_rate, s.inner_steps)
        self.learner.compile(
            optimizer=keras.optimizers.Adam(s.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )

    def train(self, steps: int) -> dict[str, float]:
        """Seconds of a meta-step, sampling included; mean loss and accuracy of the steps."""
        start = time.perf_counter()
        history = self.learner.fit(self.data, steps_per_epoch=steps, verbose=0).history
        seconds = (time.perf_counter() - start) / steps
        return {"seconds": seconds, "loss": history["loss"][0], "accuracy": history["accuracy"][0]}

    def gradient(self, weights: str, tasks: str, gradient: str) -> dict[str, float]:
        """Writes the initial weights, a meta-batch and the meta-gradient of both as .npz files."""
        variables = [variable.value for variable in self.learner.model.trainable_variables]
        batch = self.episodes.batch(0, 0, self.tasks)
        for name in ("support_x", "query_x"):
            batch[name] = tf.cast(batch[name], keras.config.floatx())
        np.savez(weights, *[value.numpy() for value in variables])
        np.savez(tasks, **{name: tensor.numpy() for name, tensor in batch.items()})

        @tf.function(autograph=False)
        def meta_gradient(batch):
            with tf.GradientTape() as tape:
                loss = self.learner.meta_loss(batch).loss / self.tasks
            return loss, tape.gradient(loss, variables)

        loss, gradients = meta_gradient(batch)
        np.savez(gradient, *[tensor.numpy() for tensor in gradients])
        return {"loss": float(loss)}


if __name__ == "__main__":
    distributed.init(cycle_milliseconds=5)
    serve(Ours, {"tensorflow": tf.__version__, "keras": keras.__version__})
