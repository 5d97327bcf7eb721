"""Trains the heads of known networks on this rank's share of 4 tasks.

    networks.py FILE

leaves in FILE, an .npz, what every rank has: each array with a leading rank axis.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta import distributed
from tfmeta.distributed import share

SIDE, WAYS, WORDS, LENGTH = 32, 3, 50, 8


def on_images(application):
    """An application of Keras with random weights, frozen, and a head above it."""
    below = application(input_shape=(SIDE, SIDE, 3), include_top=False, weights=None, pooling="avg")
    # Averages of random images: without them random weights leave nothing of an image.
    for layer in below.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    below(images(np.random.default_rng(5), 16), training=True)
    below.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, head(below(inputs)))


def head(x):
    x = layers.Dense(16, "relu")(tfmeta.layers.LayerNormalization()(x))
    return layers.Dense(WAYS)(layers.Dropout(0.2)(x))


def transformer():
    """One block above frozen embeddings of words."""
    inputs = keras.Input([LENGTH], dtype="int32")
    words = layers.Embedding(WORDS, 16)
    words.trainable = False
    x = words(inputs)
    x = tfmeta.layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    x = tfmeta.layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, "gelu")(x)))
    return keras.Model(inputs, layers.Dense(WAYS)(layers.GlobalAveragePooling1D()(x)))


NETWORKS = {
    "MobileNetV3Small": lambda: on_images(keras.applications.MobileNetV3Small),
    "EfficientNetV2B0": lambda: on_images(keras.applications.EfficientNetV2B0),
    "transformer": transformer,
}


def images(random, *count):
    return random.uniform(0, 255, [*count, SIDE, SIDE, 3]).astype("float32")


def examples(name, random, *count):
    if name == "transformer":
        return random.integers(0, WORDS, [*count, LENGTH], dtype=np.int32)
    return images(random, *count)


def tasks(name, count=4, seed=0):
    random = np.random.default_rng(seed)
    mine = share(count, distributed.rank(), distributed.size())
    made = {
        "support_x": examples(name, random, count, 2 * WAYS),
        "support_y": np.tile(np.arange(2 * WAYS, dtype=np.int32) % WAYS, [count, 1]),
        "query_x": examples(name, random, count, 4),
        "query_y": random.integers(0, WAYS, [count, 4], dtype=np.int32),
        "seed": random.integers(0, 2**31, [count, 2], dtype=np.int32),
    }
    return {part: array[mine.start : mine.stop] for part, array in made.items()}


def dataset(name):
    return tf.data.Dataset.from_tensors(tasks(name)).repeat(2)


def made(name):
    keras.utils.set_random_seed(1)
    learner = tfmeta.MAML(NETWORKS[name](), inner_learning_rate=0.01, inner_steps=2)
    learner.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return learner


def main(path):
    tfmeta.init()
    results = {}
    for name in NETWORKS:
        learner = made(name)
        learner.fit(dataset(name), verbose=0)
        results[f"{name}: told"] = learner.evaluate(dataset(name), verbose=0)
        weights = learner.model.trainable_variables
        results[f"{name}: weights"] = np.concatenate([np.ravel(weight) for weight in weights])
    of_all = {n: np.stack(distributed.gather_objects(value)) for n, value in results.items()}
    if distributed.is_main():
        np.savez(path, **of_all)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
