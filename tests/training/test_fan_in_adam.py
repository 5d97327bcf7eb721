"""Adam whose kernels move by the number of their inputs."""

import keras
import numpy as np
import pytest

from tfmeta.errors import ArgumentError
from tfmeta.training.fan_in_adam import FanInAdam

# By name, the shape of a variable, and what its rate is to the whole at a width of 8.
VARIABLES = {
    "scalar": ((), 1.0),
    "bias": ((40,), 1.0),
    "row": ((1, 40), 1.0),
    "narrow": ((8, 3), 1.0),
    "wide": ((32, 3), 0.25),
    "convolution": ((2, 2, 4, 5), 0.5),
}


def moved(optimizer):
    """By how much each variable has moved after three updates by gradients of different sizes."""
    variables = {name: keras.Variable(np.ones(shape)) for name, (shape, _) in VARIABLES.items()}
    draws = np.random.default_rng(0)
    for _ in range(3):
        gradients = [draws.normal(size=variable.shape) for variable in variables.values()]
        optimizer.apply_gradients(
            [
                (keras.ops.cast(gradient, "float32"), variable)
                for gradient, variable in zip(gradients, variables.values(), strict=True)
            ]
        )
    return {name: variable.numpy() - 1 for name, variable in variables.items()}


def test_kernels_of_many_inputs_move_by_their_share_of_adams_step():
    ours, adams = moved(FanInAdam(0.01, width=8)), moved(keras.optimizers.Adam(0.01))
    for name, (_, share) in VARIABLES.items():
        np.testing.assert_allclose(ours[name], share * adams[name], rtol=1e-4, atol=1e-7)


def test_it_is_saved_and_loaded():
    optimizer = FanInAdam(keras.optimizers.schedules.CosineDecay(0.01, 10), width=4)
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert loaded.width == 4
    assert loaded.get_config() == optimizer.get_config()


@pytest.mark.parametrize("width", [0, 1.5])
def test_a_width_is_a_whole_number(width):
    with pytest.raises(ArgumentError, match=f"^width={width}: .*whole number"):
        FanInAdam(width=width)
