"""Convolution with faster derivatives."""

import keras
import tensorflow as tf

from tfmeta.layers.convolve import convolve


@keras.saving.register_keras_serializable("tfmeta")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, with the same outputs and weights, that takes less time on a CPU."""

    def convolution_op(self, inputs, kernel):
        plain = self.groups == 1 and tuple(self.dilation_rate) == (1, 1)
        if not plain or self.data_format != "channels_last":
            return super().convolution_op(inputs, kernel)
        # A custom gradient accepts tensors. A variable would need a gradient of its own.
        return convolve(inputs, tf.convert_to_tensor(kernel), self.strides, self.padding.upper())
