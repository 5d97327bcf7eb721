"""The small dense network for sinusoid regression."""

from collections.abc import Sequence

import keras

from tfmeta.random_numbers import of_keras


def mlp(
    input_shape: Sequence[int],
    outputs: int,
    hidden: Sequence[int] = (40, 40),
    seed: int | None = None,
) -> keras.Model:
    """Dense layers with ReLU, then a linear layer (Finn et al. 2017, section 5.1).

    Args:
        input_shape: shape of one example, flattened if it has more than one axis.
        outputs: number of outputs.
        hidden: number of units of each hidden layer.
        seed: seed of the initial weights. None draws them anew.

    Returns:
        A model that maps examples to `[examples, outputs]`.
    """
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs) if len(input_shape) > 1 else inputs
    for number, width in enumerate([*hidden, outputs]):
        last = number == len(hidden)
        x = keras.layers.Dense(
            width,
            activation=None if last else "relu",
            kernel_initializer=keras.initializers.GlorotUniform(
                None if seed is None else of_keras((len(hidden) + 1) * seed + number)
            ),
            name="output" if last else f"dense{number + 1}",
        )(x)
    return keras.Model(inputs, x, name="mlp")
