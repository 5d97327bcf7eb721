"""The hierarchical RNN optimizer."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_choice, check_count, check_seed, is_finite
from tfmeta.errors import ArgumentError
from tfmeta.updates import coordinates
from tfmeta.updates.arithmetic import fan_in_share
from tfmeta.updates.base import GradientRule
from tfmeta.updates.cells import CELLS, CellState

# The gradient is averaged over four time scales, each about twice as long as the one before: the
# logarithm of its decay is half as large.
_SCALES = (1.0, 0.5, 0.25, 0.125)
# The averages, their products, their mean squares, the log rate.
_INPUTS = 4 + 3 + 4 + 1
# The logarithm of a rate stays within this far from zero.
_LOG_RATE_LIMIT = 33.0


class HierarchicalState(NamedTuple):
    """What the hierarchical RNN remembers of a problem.

    Attributes:
        coordinate: of the cell of each coordinate, `[coordinates, units]`.
        tensor: of the cell of each tensor, `[tensors, units]`.
        problem: of the cell of the problem, `[1, units]`.
        averages: of the gradient, `[coordinates, 4]`.
        squares: mean squares of the averages, `[coordinates, 4]`.
        average_decays: for the next step, `[coordinates, 4]`.
        square_decay: for the next step, `[coordinates, 1]`.
        log_rate: `[coordinates, 1]`.
    """

    coordinate: CellState
    tensor: CellState
    problem: CellState
    averages: tf.Tensor
    squares: tf.Tensor
    average_decays: tf.Tensor
    square_decay: tf.Tensor
    log_rate: tf.Tensor


_OF_COORDINATES = (
    "coordinate",
    "averages",
    "squares",
    "average_decays",
    "square_decay",
    "log_rate",
)


@keras.saving.register_keras_serializable("tfmeta")
class HierarchicalRNN(GradientRule):
    """Learned optimizers that scale and generalize (Wichrowska et al. 2017).

    Three recurrent cells work together: one for each coordinate, one for each weight tensor, one
    for the problem. A cell reads the mean of what is below it, and biases the gates of the cells
    below it through an affine map. All settings are those of the paper's public code, but for one:
    there the cell of the problem reads the last tensor alone, here the mean of all tensors, as in
    the paper.

    Args:
        cell: `"gru"`, as published, or `"lstm"`, at all levels.
        sizes: the units of the cell of a coordinate, of a tensor, and of the problem.
        first_rates: the least and the greatest of the rates at which problems start, drawn evenly
            in their logarithm. Published are 1e-6 and 1e-2, of which many have to grow first.
        first_width: inputs up to which a kernel starts at the whole of such a rate, one of more at
            first_width / inputs of it, as `FanInAdam` moves it. By default, as published, all start
            alike.
        seed: of the first parameters.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        cell: str = "gru",
        sizes: Sequence[int] = (10, 20, 20),
        first_rates: Sequence[float] = (1e-6, 1e-2),
        first_width: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("cell", cell, CELLS)
        if not _has(3, sizes) or any(type(size) is not int or size < 1 for size in sizes):
            raise ArgumentError("sizes", sizes, "give three whole numbers of at least 1.")
        in_range = _has(2, first_rates) and all(map(is_finite, first_rates))
        if not in_range or not 0 < first_rates[0] <= first_rates[1]:
            raise ArgumentError(
                "first_rates", first_rates, "give two positive numbers, the smaller one first."
            )
        self.cell, self.sizes, self.seed = cell, tuple(sizes), check_seed(seed)
        if first_width is not None:
            check_count("first_width", first_width)
        self.first_rates, self.first_width = tuple(first_rates), first_width

    def build(self, shapes):
        coordinate, tensor, problem = self.sizes
        self._add_cell("coordinate", _INPUTS, coordinate)
        self._add_cell("tensor", coordinate + _INPUTS, tensor)
        self._add_cell("problem", tensor, problem)
        gates = len(CELLS[self.cell].biases)
        self._add_affine("from_tensor", tensor, gates * coordinate)
        self._add_affine("from_problem", problem, gates * (coordinate + tensor))
        # What is read out of a coordinate's cell: a direction, two decays and the change of a rate.
        self._add_kernel("direction_kernel", coordinate, 1)
        self._add_kernel("shortcut_kernel", 4, 1, scale=0.1, mean=0.25)
        self._add_kernel("decays_kernel", coordinate, 2)
        self._add_constant("decays_bias", [2], [2.2, 3.2])
        self._add_constant("rate_kernel", [coordinate, 1], 0.0)
        self._add_constant("rate_bias", [1], 0.0)
        self._add_constant("rate_momentum_logit", [], 3.2)
        self._add_constant("rate_offset", [], -1.0)
        super().build(shapes)

    def _add_cell(self, level, inputs, units):
        cell = CELLS[self.cell]
        for index, blocks in enumerate(cell.kernels):
            self._add_kernel(f"{level}_kernel_{index}", inputs + units, blocks * units)
        bias = np.repeat(cell.biases, units)
        self._add_constant(f"{level}_bias", bias.shape, bias)
        for index in range(cell.states):
            initializer = keras.initializers.RandomUniform(-1.0, 1.0, seed=self._next_seed())
            self.add_weight(
                name=f"{level}_start_{index}", shape=(1, units), initializer=initializer
            )

    def _add_affine(self, name, inputs, outputs):
        self._add_kernel(f"{name}_kernel", inputs, outputs)
        self._add_constant(f"{name}_bias", [outputs], 0.0)

    def _add_kernel(self, name, inputs, outputs, scale=0.5, mean=0.0):
        initializer = keras.initializers.RandomNormal(
            mean, scale / math.sqrt(inputs), seed=self._next_seed()
        )
        self.add_weight(name=name, shape=(inputs, outputs), initializer=initializer)

    def _add_constant(self, name, shape, value):
        self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(value))

    def _next_seed(self):
        """Unrelated for each variable."""
        entropy = (self.seed, len(self.trainable_variables))
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def initial_state(self, parameters, weights, seed):
        p = self._by_name(parameters)
        dtype = weights[0].dtype
        rows = coordinates.count(weights)

        def start(level, rows):
            return [tf.tile(p[f"{level}_start_{i}"], [rows, 1]) for i in range(states)]

        states = CELLS[self.cell].states
        # Half of a rate is its tensor's, lest the mean rates of all tensors be much the same.
        low, high = (0.5 * math.log(rate) for rate in self.first_rates)
        own = random_numbers.uniform(random_numbers.fold_in(seed, 0), (rows, 1), low, high)
        shared = random_numbers.uniform(
            random_numbers.fold_in(seed, 1), (len(weights), 1), low, high
        )
        if self.first_width is not None:
            shares = [fan_in_share(weight.shape, self.first_width) for weight in weights]
            shared += tf.math.log(tf.constant(shares, shared.dtype))[:, None]
        zeros = tf.zeros([rows, 4], dtype)
        return HierarchicalState(
            coordinate=start("coordinate", rows),
            tensor=start("tensor", len(weights)),
            problem=start("problem", 1),
            averages=zeros,
            squares=zeros,
            average_decays=zeros,
            square_decay=zeros[:, :1],
            log_rate=tf.cast(own + coordinates.spread(shared, weights), dtype),
        )

    def update(self, parameters, weights, gradients, state):
        p = self._by_name(parameters)

        def affine(name, x):
            return tf.matmul(x, p[f"{name}_kernel"]) + p[f"{name}_bias"]

        def step(level, x, state, bias=0.0):
            kernels = [p[f"{level}_kernel_{i}"] for i in range(len(cell.kernels))]
            return cell.step(x, state, kernels, p[f"{level}_bias"] + bias)

        cell = CELLS[self.cell]
        gates = len(cell.biases)
        gradient = coordinates.join(gradients)[:, None]
        averages = state.average_decays * (state.averages - gradient) + gradient
        squares = tf.square(averages) + 1e-12
        squares = state.square_decay * (state.squares - squares) + squares
        scaled = _asinh(averages * tf.math.rsqrt(squares + 1e-16))
        x = _inputs(scaled, squares, state.log_rate)

        bias, tensor_bias = tf.split(
            affine("from_problem", state.problem[0]),
            [gates * size for size in self.sizes[:2]],
            axis=-1,
        )
        bias = coordinates.spread(bias + affine("from_tensor", state.tensor[0]), weights)
        coordinate = step("coordinate", x, state.coordinate, bias)
        h = coordinate[0]
        below = coordinates.means(tf.concat([h, x], axis=-1), weights)
        tensor = step("tensor", below, state.tensor, tensor_bias)
        below = tf.reduce_mean(tensor[0], axis=0, keepdims=True)
        problem = step("problem", below, state.problem)

        readout = tf.concat([p["direction_kernel"], p["rate_kernel"], p["decays_kernel"]], axis=-1)
        direction, rate_change, decay_logits = tf.split(tf.matmul(h, readout), [1, 1, 2], axis=-1)
        average_logit, square_logit = tf.split(decay_logits + p["decays_bias"], 2, axis=-1)
        direction += tf.matmul(scaled, p["shortcut_kernel"])
        length = coordinates.means(tf.square(direction), weights)
        direction *= coordinates.spread(tf.math.rsqrt(length + 1e-16), weights)
        log_rate = _within_limit(state.log_rate + rate_change + p["rate_bias"])
        steps = coordinates.split(tf.exp(log_rate + p["rate_offset"]) * direction, weights)
        moved = [weight - step for weight, step in zip(weights, steps, strict=True)]
        return moved, HierarchicalState(
            coordinate=coordinate,
            tensor=tensor,
            problem=problem,
            averages=averages,
            squares=squares,
            # Powers of the sigmoid; roots would have no derivative where it underflows.
            average_decays=tf.exp(tf.math.log_sigmoid(average_logit) * _SCALES),
            square_decay=tf.sigmoid(square_logit),
            log_rate=log_rate + tf.sigmoid(p["rate_momentum_logit"]) * (state.log_rate - log_rate),
        )

    def hold(self, held, before, after):
        own = {name: getattr(before, name) for name in _OF_COORDINATES}
        new = {name: getattr(after, name) for name in _OF_COORDINATES}
        return after._replace(**coordinates.hold(held, own, new))

    def _by_name(self, parameters):
        names = [variable.name for variable in self.trainable_variables]
        return dict(zip(names, parameters, strict=True))

    def get_config(self):
        return {
            **super().get_config(),
            "cell": self.cell,
            "sizes": self.sizes,
            "first_rates": self.first_rates,
            "first_width": self.first_width,
            "seed": self.seed,
        }


def _has(count, values):
    return isinstance(values, Sequence) and len(values) == count


def _inputs(scaled, squares, log_rate):
    products = scaled[:, :-1] * scaled[:, 1:]
    log_squares = tf.math.log(squares + 1e-16)
    log_squares -= tf.reduce_mean(log_squares, axis=-1, keepdims=True)
    relative_rate = log_rate - tf.reduce_mean(log_rate)
    return tf.concat([scaled, products, log_squares, relative_rate], axis=-1)


def _asinh(x):
    """As `tf.asinh`, in a quarter of its time."""
    side = tf.where(x < 0.0, -tf.ones_like(x), tf.ones_like(x))
    return side * tf.math.log(side * x + tf.sqrt(1.0 + tf.square(x)))


def _within_limit(log_rate):
    """Clipped, but with a derivative of 1 everywhere, so that learning can bring it back."""
    clipped = tf.clip_by_value(log_rate, -_LOG_RATE_LIMIT, _LOG_RATE_LIMIT)
    return log_rate + tf.stop_gradient(clipped - log_rate)
