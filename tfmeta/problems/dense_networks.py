"""Dense networks that classify: what the problems made of them have in common."""

import abc
from typing import Any

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates.objective import Weights

_ACTIVATIONS = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu}


class DenseNetworks(ProblemFamily):
    """Training a dense network to classify: the softmax cross-entropy, and the accuracy.

    The weights are a matrix `[inputs, outputs]` and a bias `[outputs]` for each layer, normal at
    the start. A batch is drawn evenly from the training examples, with replacement, as
    Andrychowicz et al. 2016 do; the held-out examples serve `held_out_loss` and `score` alone.
    A subclass says what the examples are and how large the weights are at the start.

    Args:
        sizes: how many inputs, units of each hidden layer, and classes.
        activation: of the hidden layers, `"sigmoid"` or `"relu"`.
        batch_size: how many examples the loss of a step sees.
        seed: seed of the problems.
        dtype: of everything but the labels.

    Raises:
        ArgumentError: an argument is out of range.
    """

    metric = "accuracy"
    # Factor of the mean over the tensors of their squared length, added to the training loss.
    regularization = 0.0

    def __init__(
        self,
        sizes: tuple[int, ...],
        activation: str,
        batch_size: int,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(seed)
        for argument, numbers in (("sizes", sizes), ("batch_size", (batch_size,))):
            if any(type(number) is not int or number < 1 for number in numbers):
                raise ArgumentError(argument, numbers, "give whole numbers of at least 1.")
        if activation not in _ACTIVATIONS:
            raise ArgumentError("activation", activation, "give sigmoid or relu.")
        self.activation, self.batch_size, self.dtype = activation, batch_size, dtype
        self._activate = _ACTIVATIONS[activation]
        self.shapes: list[tuple[int, ...]] = []
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            self.shapes += [(inputs, outputs), (outputs,)]

    @abc.abstractmethod
    def start_deviation(self, shape: tuple[int, ...]) -> float:
        """The standard deviation of the elements of a tensor at the start."""

    @abc.abstractmethod
    def training(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The training examples of one problem: x `[examples, inputs]`, y `[examples]` int32."""

    @abc.abstractmethod
    def held_out(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The held-out examples, likewise."""

    def start(self, seeds: tf.Tensor) -> Weights:
        """The first weights of the problem of each seed, each `[problems, ...]`."""
        weights = []
        for number, shape in enumerate(self.shapes):
            draws = random_numbers.normal(random_numbers.fold_in(seeds, number), shape)
            weights.append(tf.cast(self.start_deviation(shape) * draws, self.dtype))
        return weights

    def drawn(self, data: Any, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The training examples of the batch that a seed (int32 `[2]`) chooses."""
        x, y = self.training(data)
        draws = random_numbers.uniform(seed, (self.batch_size,))
        rows = tf.cast(draws * y.shape[0], tf.int32)
        return tf.gather(x, rows), tf.gather(y, rows)

    def loss(self, weights, data, seed):
        return self._training_loss(weights, *self.drawn(data, seed))

    def full_loss(self, weights, data):
        return self._training_loss(weights, *self.training(data))

    def held_out_loss(self, weights, data):
        return self._cross_entropy(weights, *self.held_out(data))

    def score(self, weights, data):
        x, y = self.held_out(data)
        chosen = tf.argmax(self._logits(weights, x), axis=-1, output_type=y.dtype)
        return tf.reduce_mean(tf.cast(chosen == y, self.dtype))

    def _training_loss(self, weights, x, y):
        loss = self._cross_entropy(weights, x, y)
        if self.regularization:
            squares = tf.add_n([tf.reduce_sum(tf.square(tensor)) for tensor in weights])
            loss += self.regularization / len(weights) * squares
        return loss

    def _cross_entropy(self, weights, x, y):
        logits = self._logits(weights, x)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))

    def _logits(self, weights, x):
        for number in range(0, len(weights), 2):
            if number:
                x = self._activate(x)
            x = tf.matmul(x, weights[number]) + weights[number + 1]
        return x
