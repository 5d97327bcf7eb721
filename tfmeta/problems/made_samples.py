"""Classifying samples that each problem makes for itself."""

import abc
import math

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.problems.dense_networks import DenseNetworks

SAMPLES = 1000
_TRAINING = 700


class MadeSamples(DenseNetworks):
    """Dense networks on 1000 samples of two classes, 700 for training and 300 held out.

    What Wichrowska et al. 2017 have in common in their softmax regressions and fully connected
    networks: the weights start as 1.2 / sqrt(n) N(0, 1), n being the first length of the tensor,
    and the training loss has 1e-3 times the mean over the tensors of their squared length. Their
    data sets are fixed and only the start differs; here each problem makes its own data.
    """

    regularization = 1e-3

    @abc.abstractmethod
    def samples(self, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes the samples of each problem, in random order.

        Args:
            seeds: int32 `[problems, 2]`.

        Returns:
            x `[problems, 1000, features]` and y `[problems, 1000]` int32.
        """

    def start_deviation(self, shape):
        return 1.2 / math.sqrt(shape[0])

    def tasks(self, seeds):
        x, y = self.samples(random_numbers.fold_in(seeds, 0))
        data = {
            "x": x[:, :_TRAINING],
            "y": y[:, :_TRAINING],
            "held_out_x": x[:, _TRAINING:],
            "held_out_y": y[:, _TRAINING:],
        }
        return {"weights": self.start(random_numbers.fold_in(seeds, 1)), "data": data}

    def training(self, data):
        return data["x"], data["y"]

    def held_out(self, data):
        return data["held_out_x"], data["held_out_y"]
