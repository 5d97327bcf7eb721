"""Softmax regression on made classification data."""

import numpy as np
import tensorflow as tf
from sklearn.datasets import make_classification

from tfmeta.problems.made_samples import SAMPLES, MadeSamples


class SoftmaxRegressions(MadeSamples):
    """Softmax regression of two classes (Wichrowska et al. 2017).

    The samples are those of `sklearn.datasets.make_classification`, with every feature
    informative: two normal clusters for each class, about corners of a cube, with 1 % of the
    labels drawn at random. Published are `(features, batch_size, separation)` of (10, 100, 2),
    (100, 50, 1), (200, 20, 1.5) and (256, 100, 1.5).

    Args:
        features: the length of a sample.
        batch_size: how many samples the loss of a step sees.
        separation: half the edge of the cube, in about the standard deviation of a cluster.
        seed: seed of the problems.
        dtype: of everything but the labels.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        features: int = 10,
        batch_size: int = 100,
        separation: float = 1.0,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__((features, 2), "sigmoid", batch_size, seed, dtype)
        self.name = f"softmax_regression_{features}"
        self.features, self.separation = features, separation

    def samples(self, seeds):
        x, y = tf.numpy_function(self._made, [seeds], [self.dtype, tf.int32])
        count = seeds.shape[0]
        x.set_shape([count, SAMPLES, self.features])
        y.set_shape([count, SAMPLES])
        return x, y

    def _made(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.empty([len(seeds), SAMPLES, self.features], self.dtype)
        y = np.empty([len(seeds), SAMPLES], np.int32)
        for i, seed in enumerate(seeds.view(np.uint32)):
            x[i], y[i] = make_classification(
                n_samples=SAMPLES,
                n_features=self.features,
                n_informative=self.features,
                n_redundant=0,
                class_sep=self.separation,
                random_state=np.random.RandomState(seed),
            )
        return x, y
