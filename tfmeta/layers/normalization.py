"""Batch, layer and group normalization with exact derivatives of every order.

Keras's layers use `tf.nn.moments`, which computes the variance about a mean that stops gradients.
The first derivative is still right, because the variance is stationary in the mean. The second
derivative, which MAML needs, is wrong. The layers here compute the same outputs from moments that
can be differentiated any number of times. They take the arguments and have the weights of the Keras
layers that they replace.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tfmeta.checks import check_choice
from tfmeta.errors import ArgumentError
from tfmeta.layers.standardize import standardize

STATISTICS = ("transductive", "support", "running")

# Where layers whose statistics are those of a set of examples are to leave them, and to find them.
_LEAVING = contextvars.ContextVar("leaving", default=False)
_FINDING = contextvars.ContextVar[tuple[str, ...]]("finding", default=())


@contextlib.contextmanager
def leaving_statistics() -> Iterator[None]:
    """Within the context batch normalizations leave the statistics of a batch behind.

    Those with `"transductive"` or `"support"` statistics normalize by the mean and variance of the
    batch, and put these into `moving_mean` and `moving_variance`.
    """
    token = _LEAVING.set(True)
    try:
        yield
    finally:
        _LEAVING.reset(token)


@contextlib.contextmanager
def finding_statistics(*kinds: str) -> Iterator[None]:
    """Within the context batch normalizations normalize by the statistics that were left.

    Args:
        *kinds: of which `statistics` these layers are.
    """
    token = _FINDING.set(kinds)
    try:
        yield
    finally:
        _FINDING.reset(token)


# What a batch normalization that has been given other statistics saves them as.
_CHANGED_TO = "statistics"


def _at_least_float32(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32) if x.dtype in (tf.bfloat16, tf.float16) else x


def _moments(x, axes):
    """Mean and variance with derivatives of every order, each with 1 along `axes`."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return mean, tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)


def _scale_and_offset(layer, x, shape):
    """`gamma` and `beta` of a layer, or 1 and 0, in the dtype of `x` and of this shape."""
    scale, offset = 1.0, 0.0
    if layer.gamma is not None:
        scale = tf.reshape(tf.cast(layer.gamma, x.dtype), shape)
    if layer.beta is not None:
        offset = tf.reshape(tf.cast(layer.beta, x.dtype), shape)
    return scale, offset


@keras.saving.register_keras_serializable("tfmeta")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with exact second derivatives and named semantics.

    Args:
        statistics: which mean and variance normalize the input.
            `"transductive"`: those of the current batch, in training and in prediction (Finn et
                al. 2017). A prediction then depends on the other examples of its batch, and
                nothing is kept between batches.
            `"support"`: those of the batch in training. A learner predicts the query set with those
                of the support set under the adapted weights, through which derivatives flow; an
                adapted model keeps them in `moving_mean` and `moving_variance`. A prediction does
                not depend on the other examples of its batch.
            `"running"`: those of the batch in training, and running averages in prediction, as in
                Keras. The averages keep moving while a task adapts, so an adapted model predicts
                with averages that its support set has moved.
        **kwargs: as for `keras.layers.BatchNormalization`, but neither `renorm` nor
            `synchronized`.

    Raises:
        ArgumentError: `statistics` is none of the three, or `renorm` or `synchronized` is given.
    """

    def __init__(self, *, statistics: str = "transductive", **kwargs):
        check_choice("statistics", statistics, STATISTICS)
        for name in ("renorm", "synchronized"):
            if kwargs.get(name):
                raise ArgumentError(
                    name, True, "exact batch normalization does not have it; leave it out."
                )
        super().__init__(**kwargs)
        self.statistics = self._made_with = statistics

    def call(self, inputs, training=None, mask=None):
        if mask is not None:
            raise ArgumentError(
                "mask", "given", "exact batch normalization takes no mask; leave it out."
            )
        x = _at_least_float32(inputs)
        shape = [1] * len(x.shape)
        shape[self.axis] = -1
        axes = [axis for axis in range(len(shape)) if shape[axis] == 1]
        scale, offset = _scale_and_offset(self, x, shape)
        if self.batch_dependent and _LEAVING.get():
            mean, variance = _moments(x, axes)
            for left, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                left.assign(tf.cast(tf.reshape(now, left.shape), left.dtype))
            x = (x - mean) * (tf.math.rsqrt(variance + self.epsilon) * scale) + offset
        elif self._takes_batch(training):
            if self.statistics == "running":
                self._move(x, axes)
            x = standardize(x, axes, self.epsilon, scale, offset)
        else:
            mean = tf.reshape(tf.cast(self.moving_mean, x.dtype), shape)
            variance = tf.reshape(tf.cast(self.moving_variance, x.dtype), shape)
            x = (x - mean) * (tf.math.rsqrt(variance + self.epsilon) * scale) + offset
        return tf.cast(x, self.compute_dtype)

    @property
    def batch_dependent(self) -> bool:
        """Whether the statistics are those of a set of examples, and no running averages.

        A frozen layer keeps what it has, unless it is transductive.
        """
        return self.statistics == "transductive" or (
            self.statistics == "support" and self.trainable
        )

    def _takes_batch(self, training):
        """Whether the statistics are those of the batch at hand."""
        if self.statistics in _FINDING.get():
            return False
        return self.statistics == "transductive" or (training and self.trainable)

    def _move(self, x, axes):
        for average, now in zip(
            (self.moving_mean, self.moving_variance), tf.nn.moments(x, axes), strict=True
        ):
            now = tf.cast(now, average.dtype)
            average.assign(average * self.momentum + now * (1.0 - self.momentum))

    def get_config(self):
        config = super().get_config()
        for name in ("renorm", "renorm_clipping", "renorm_momentum", "synchronized"):
            config.pop(name, None)
        return {**config, "statistics": self.statistics}

    # A model whose class makes its layers makes them as they were before one was changed.

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.statistics != self._made_with:
            store[_CHANGED_TO] = np.frombuffer(self.statistics.encode(), np.uint8)

    def load_own_variables(self, store):
        own = {name: store[name] for name in store.keys() if name != _CHANGED_TO}  # noqa: SIM118
        super().load_own_variables(own)
        if len(own) < len(store.keys()):
            self.statistics = bytes(np.array(store[_CHANGED_TO])).decode()


@keras.saving.register_keras_serializable("tfmeta")
class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` with exact second derivatives.

    Args:
        **kwargs: as for `keras.layers.LayerNormalization`, but not the deprecated `rms_scaling`.

    Raises:
        ArgumentError: `rms_scaling` is given.
    """

    def __init__(self, **kwargs):
        if kwargs.pop("rms_scaling", False):
            raise ArgumentError(
                "rms_scaling", True, "use keras.layers.RMSNormalization, which is exact."
            )
        super().__init__(**kwargs)

    def call(self, inputs):
        x = _at_least_float32(inputs)
        axes = [axis % len(x.shape) for axis in self.axis]
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(len(x.shape))]
        scale, offset = _scale_and_offset(self, x, shape)
        x = standardize(x, axes, self.epsilon) * scale + offset
        return tf.cast(x, self.compute_dtype)


@keras.saving.register_keras_serializable("tfmeta")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` with exact second derivatives."""

    def call(self, inputs):
        x = _at_least_float32(inputs)
        axis = self.axis % len(x.shape)
        size = x.shape[axis] // self.groups
        # [batch, ..., channels, ...] -> [batch, ..., groups, channels of a group, ...]
        sizes = tf.shape(x)
        grouped = tf.reshape(
            x, tf.concat([sizes[:axis], [self.groups, size], sizes[axis + 1 :]], axis=0)
        )
        grouped.set_shape([*x.shape[:axis], self.groups, size, *x.shape[axis + 1 :]])
        axes = [a for a in range(1, len(grouped.shape)) if a != axis]
        shape = [1] * len(grouped.shape)
        shape[axis], shape[axis + 1] = self.groups, size
        scale, offset = _scale_and_offset(self, x, shape)
        outputs = standardize(grouped, axes, self.epsilon) * scale + offset
        return tf.cast(tf.reshape(outputs, sizes), self.compute_dtype)


_EXACT = {
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.LayerNormalization: LayerNormalization,
    keras.layers.GroupNormalization: GroupNormalization,
}


def batch_dependent(model: keras.Model) -> list[keras.layers.Layer]:
    """The batch normalizations of `model` whose statistics are those of a set of examples."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, BatchNormalization) and layer.batch_dependent
    ]


def inexact_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers of `model` with a wrong second derivative.

    A frozen batch normalization is not among them, because it computes no moments.
    """

    def inexact(layer):
        stock = any(isinstance(layer, cls) for cls in _EXACT)
        exact = isinstance(layer, tuple(_EXACT.values()))
        frozen = isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable
        return stock and not exact and not frozen

    return [layer for layer in model._flatten_layers() if inexact(layer)]


def exact_twin(layer: keras.layers.Layer) -> type[keras.layers.Layer] | None:
    """The class of this module that does what a layer of Keras's does, if there is one."""
    has_none = any(
        getattr(layer, name, False) for name in ("renorm", "synchronized", "rms_scaling")
    )
    return None if has_none else _EXACT.get(type(layer))
