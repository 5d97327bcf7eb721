"""The coordinatewise LSTM optimizer."""

import math

import keras
import tensorflow as tf

from tfmeta.checks import check_choice, check_count, check_positive, check_seed
from tfmeta.random_numbers import of_keras
from tfmeta.updates import coordinates
from tfmeta.updates.base import GradientRule
from tfmeta.updates.cells import lstm_cell


@keras.saving.register_keras_serializable("tfmeta")
class CoordinatewiseLSTM(GradientRule):
    """Learning to learn by gradient descent by gradient descent (Andrychowicz et al. 2016).

    One stacked LSTM, shared by all coordinates, each with a state of its own, reads the gradient
    of a coordinate and gives its step (section 2.1): theta' = theta + scale * (v . h + c), where h
    is the output of the last layer. Its gates are those of Hochreiter and Schmidhuber with a
    forget bias of 1.

    The state: for each layer the output and the cell, `[coordinates, units]`, all weights of the
    task one after the other.

    Args:
        units: of each layer.
        layers: how many.
        inputs: how a gradient g is shown: `"log_sign"`, (log|g| / p, sign g) where
            |g| >= exp(-p), and (-1, exp(p) g) below (appendix A); or `"scaled"`, g times
            `input_scale`.
        p: of the log-sign code. The paper has 10, its public code 5.
        input_scale: of the scaled input.
        output_scale: of the step. The paper has 0.1, its public code 0.01.
        seed: of the initial parameters.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        units: int = 20,
        layers: int = 2,
        inputs: str = "log_sign",
        p: float = 10.0,
        input_scale: float = 1.0,
        output_scale: float = 0.1,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for argument, count in (("units", units), ("layers", layers)):
            check_count(argument, count)
        for argument, number in (
            ("p", p),
            ("input_scale", input_scale),
            ("output_scale", output_scale),
        ):
            check_positive(argument, number)
        check_choice("inputs", inputs, ("log_sign", "scaled"))
        self.units, self.layers, self.inputs, self.p = units, layers, inputs, p
        self.input_scale, self.output_scale = input_scale, output_scale
        self.seed = check_seed(seed)

    def build(self, shapes):
        size = 2 if self.inputs == "log_sign" else 1
        for layer in range(self.layers):
            self.add_weight(
                name=f"kernel_{layer}",
                shape=(size + self.units, 4 * self.units),
                initializer=keras.initializers.GlorotUniform(of_keras(self.seed + layer)),
            )
            self.add_weight(name=f"bias_{layer}", shape=(4 * self.units,), initializer="zeros")
            size = self.units
        # A first rule that hardly moves diverges on no problem.
        self.add_weight(
            name="output_kernel",
            shape=(self.units, 1),
            initializer=keras.initializers.RandomNormal(
                stddev=0.01, seed=of_keras(self.seed + self.layers)
            ),
        )
        self.add_weight(name="output_bias", shape=(1,), initializer="zeros")
        super().build(shapes)

    def initial_state(self, parameters, weights, seed):
        zeros = tf.zeros([coordinates.count(weights), self.units], weights[0].dtype)
        return [[zeros, zeros] for _ in range(self.layers)]

    def update(self, parameters, weights, gradients, state):
        *cells, output_kernel, output_bias = parameters
        signal = self.encode(coordinates.join(gradients))
        new_state = []
        for layer, layer_state in enumerate(state):
            kernel, bias = cells[2 * layer : 2 * layer + 2]
            new_state.append(lstm_cell(signal, layer_state, [kernel], bias))
            signal = new_state[-1][0]
        step = self.output_scale * (tf.matmul(signal, output_kernel) + output_bias)
        steps = coordinates.split(step, weights)
        return [weight + step for weight, step in zip(weights, steps, strict=True)], new_state

    def hold(self, held, before, after):
        return coordinates.hold(held, before, after)

    def encode(self, gradient: tf.Tensor) -> tf.Tensor:
        """Gradients [coordinates] as inputs [coordinates, 2], or 1 if scaled."""
        if self.inputs == "scaled":
            return self.input_scale * gradient[:, None]
        least = math.exp(-self.p)
        size = tf.abs(gradient)
        # The logarithm is taken of what is not small only, lest its derivative be infinite.
        logarithm = tf.math.log(tf.maximum(size, least)) / self.p
        direction = tf.where(size >= least, tf.sign(gradient), gradient / least)
        return tf.stack([logarithm, direction], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "layers": self.layers,
            "inputs": self.inputs,
            "p": self.p,
            "input_scale": self.input_scale,
            "output_scale": self.output_scale,
            "seed": self.seed,
        }
