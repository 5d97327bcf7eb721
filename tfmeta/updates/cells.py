"""Recurrent cells, for many rows at once, whose gates may be biased row by row."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

# Of each cell the tensors that it hands on, [rows, units]; the first is its output.
CellState = list[tf.Tensor]


def gru_cell(
    x: tf.Tensor, state: CellState, kernels: Sequence[tf.Tensor], bias: tf.Tensor
) -> CellState:
    """One step of a GRU (Cho et al. 2014).

        r, u = sigmoid([x, h] kernel + bias_ru)
        c = tanh([x, r h] candidate_kernel + bias_c)
        h' = u h + (1 - u) c

    Args:
        x: [rows, inputs].
        state: h, [rows, units].
        kernels: [inputs + units, 2 * units], and for the candidate [inputs + units, units].
        bias: of r, u and c, [3 * units], or one for each row.

    Returns:
        The new state.
    """
    [h] = state
    kernel, candidate_kernel = kernels
    units = h.shape[-1]
    gate_bias, candidate_bias = tf.split(bias, [2 * units, units], axis=-1)
    gates = tf.sigmoid(tf.matmul(tf.concat([x, h], axis=-1), kernel) + gate_bias)
    r, u = tf.split(gates, 2, axis=-1)
    c = tf.tanh(tf.matmul(tf.concat([x, r * h], axis=-1), candidate_kernel) + candidate_bias)
    return [c + u * (h - c)]


def lstm_cell(
    x: tf.Tensor, state: CellState, kernels: Sequence[tf.Tensor], bias: tf.Tensor
) -> CellState:
    """One step of an LSTM (Hochreiter and Schmidhuber 1997) with a forget bias of 1.

        i, f, g, o = [x, h] kernel + bias
        c' = sigmoid(f + 1) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Args:
        x: [rows, inputs].
        state: h and c, [rows, units].
        kernels: one, [inputs + units, 4 * units].
        bias: [4 * units], or one for each row.

    Returns:
        The new state.
    """
    h, c = state
    [kernel] = kernels
    gates = tf.matmul(tf.concat([x, h], axis=-1), kernel) + bias
    i, f, g, o = tf.split(gates, 4, axis=-1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(g)
    return [tf.sigmoid(o) * tf.tanh(c), c]


class Cell(NamedTuple):
    """A cell, and what it needs.

    Attributes:
        step: `(x, state, kernels, bias)` to the new state.
        states: how many tensors its state has.
        kernels: how many times `units` columns each of its kernels has.
        biases: the first bias of each gate.
    """

    step: Callable[[tf.Tensor, CellState, Sequence[tf.Tensor], tf.Tensor], CellState]
    states: int
    kernels: tuple[int, ...]
    biases: tuple[float, ...]


# At first a state keeps sigmoid(2.2) = 0.9 of itself at each step (the public code of Wichrowska et
# al. 2017 for the GRU; the LSTM's forget gate is given the same).
CELLS = {
    "gru": Cell(gru_cell, states=1, kernels=(2, 1), biases=(2.2, 2.2, 0.0)),
    "lstm": Cell(lstm_cell, states=2, kernels=(4,), biases=(0.0, 1.2, 0.0, 0.0)),
}
