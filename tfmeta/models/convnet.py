"""The four-block convolutional network of few-shot learning."""

from collections.abc import Sequence

import keras

from tfmeta.layers import BatchNormalization, Conv2D
from tfmeta.random_numbers import of_keras


def conv4(
    input_shape: Sequence[int],
    ways: int,
    filters: int = 64,
    max_pool: bool = False,
    batch_norm: str = "transductive",
    seed: int | None = None,
) -> keras.Model:
    """Four blocks of 3x3 convolution, batch normalization and ReLU, then a linear layer.

    The networks of Finn et al. 2017, section 5.2. On Omniglot they have strided convolutions with
    64 filters, and the mean over the remaining pixels before the linear layer. On mini-ImageNet
    they have 32 filters and 2x2 max-pooling, and the linear layer takes all remaining pixels. The
    convolutions have no bias, because the normalization would cancel it.

    Args:
        input_shape: `(height, width, channels)`.
        ways: number of classes.
        filters: number of filters of each convolution.
        max_pool: whether to halve the sides by max-pooling instead of strides.
        batch_norm: semantics of the normalizations, see `tfmeta.layers.BatchNormalization`.
        seed: seed of the initial weights. None draws them anew.

    Returns:
        A model that maps images to logits `[images, ways]`.
    """
    inputs = keras.Input(input_shape)
    x = inputs
    for block in range(4):
        x = Conv2D(
            filters,
            3,
            strides=1 if max_pool else 2,
            padding="same",
            use_bias=False,
            kernel_initializer=_glorot(seed, block),
            name=f"conv{block + 1}",
        )(x)
        x = BatchNormalization(statistics=batch_norm, name=f"norm{block + 1}")(x)
        x = keras.layers.ReLU(name=f"relu{block + 1}")(x)
        if max_pool:
            x = keras.layers.MaxPooling2D(name=f"pool{block + 1}")(x)
    if max_pool:
        x = keras.layers.Flatten(name="flatten")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = keras.layers.Dense(ways, kernel_initializer=_glorot(seed, 4), name="logits")(x)
    return keras.Model(inputs, outputs, name="conv4")


def _glorot(seed, layer):
    return keras.initializers.GlorotUniform(None if seed is None else of_keras(5 * seed + layer))
