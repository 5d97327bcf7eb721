"""Adam whose kernels move by the number of their inputs."""

import keras

from tfmeta.checks import check_count
from tfmeta.updates.arithmetic import fan_in_share


@keras.saving.register_keras_serializable("tfmeta")
class FanInAdam(keras.optimizers.Adam):
    """Adam, at a lower rate for kernels of many inputs.

    Adam moves every weight by about its rate, whatever the gradient. What a unit puts out moves by
    that times the number of its inputs, as the weights of a unit move together at first. So one
    rate cannot suit a bias and a kernel of forty inputs: where the first learns, the second is
    thrown about. Here a kernel of more inputs than `width` moves at width / inputs of the rate, as
    in Yang et al. 2021 (Tensor Programs V, table 3); all else moves at the rate itself.

    Args:
        learning_rate: of scalars, vectors, and kernels of few inputs; as of Keras's Adam.
        width: inputs up to which a kernel moves at the whole rate.
        **settings: of Keras's Adam.

    Raises:
        ArgumentError: the width is not a whole number of at least 1.
    """

    def __init__(self, learning_rate=0.001, width: int = 8, **settings):
        super().__init__(learning_rate, **settings)
        self.width = check_count("width", width)

    def update_step(self, gradient, variable, learning_rate):
        share = fan_in_share(variable.shape, self.width)
        super().update_step(gradient, variable, learning_rate * share)

    def get_config(self):
        return {**super().get_config(), "width": self.width}
