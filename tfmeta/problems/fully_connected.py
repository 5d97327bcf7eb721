"""Fully connected networks that learn what a random network says."""

import math

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.problems.made_samples import SAMPLES, MadeSamples

_LAYERS, _WIDTH = 6, 20


class FullyConnectedNetworks(MadeSamples):
    """Training a dense network of two classes (Wichrowska et al. 2017).

    The samples are x from N(0, 1), labeled by the output of a random network with 6 layers of 20
    ReLU units and no biases. The label is 1 where the output is above its median. The public code
    takes 0 for the threshold instead: of such problems one in six has a single class, and four in
    ten have less than 5 % of the samples in the smaller class.

    Args:
        features: the length of a sample.
        hidden: how many units each hidden layer has.
        batch_size: how many samples the loss of a step sees.
        activation: of the hidden layers, `"sigmoid"` (as published) or `"relu"`.
        seed: seed of the problems.
        dtype: of everything but the labels.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        features: int = 8,
        hidden: tuple[int, ...] = (8, 5),
        batch_size: int = 10,
        activation: str = "sigmoid",
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__((features, *hidden, 2), activation, batch_size, seed, dtype)
        units = "_".join(map(str, (features, *hidden)))
        self.name = f"fully_connected_{units}" + ("_relu" if activation == "relu" else "")
        self.features = features

    def samples(self, seeds):
        def draw(number, *shape):
            return random_numbers.normal(random_numbers.fold_in(seeds, number), shape)

        x = draw(0, SAMPLES, self.features)
        widths = [self.features, *[_WIDTH] * (_LAYERS - 1), 1]
        signal = x
        for layer in range(_LAYERS):
            inputs, outputs = widths[layer : layer + 2]
            matrix = math.sqrt(2 / inputs) * draw(1 + layer, inputs, outputs)
            signal = tf.matmul(signal, matrix)
            if layer < _LAYERS - 1:
                signal = tf.nn.relu(signal)
        outputs = signal[..., 0]
        median = tf.sort(outputs, axis=-1)[:, SAMPLES // 2 - 1, None]
        return tf.cast(x, self.dtype), tf.cast(outputs > median, tf.int32)
