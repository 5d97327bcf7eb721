"""How far a learner's meta-gradient is from the derivative of its meta-loss."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.evaluation.float64_copy import computing_in_float64, first_line, float64_copy

# Rounding moves a difference by 1e-10 of the loss. Of what a weight with a smaller share than this
# of the largest derivative does to the loss, that would be a part worth mentioning.
_LEAST_SHARE = 1e-2
_TINY = np.finfo(float).tiny


def check_meta_gradient(learner: Any, tasks: dict[str, Any]) -> dict[str, float]:
    """Compares the meta-gradient of a learner with central differences of its meta-loss.

    It computes in float64: a learner of another precision is copied, and stays as it is. Along
    each weight, and each parameter of the update rule or the start, one direction uphill is drawn;
    what the meta-gradient says of it is held against the meta-losses 1e-6 to either side. An exact
    meta-gradient is off by less than 1e-6, one with inexact second derivatives by 1e-3 and more,
    and that of first order by what it leaves out. Where a function has a kink within 1e-6, as with
    ReLU, differences are off themselves; look at another draw of tasks.

    Args:
        learner: a compiled few-shot learner whose gradient is that of a loss, such as `MAML`.
        tasks: a meta-batch as `fit` takes it.

    Returns:
        By the path of each variable: how far the gradient is off, relative to the difference, or
        to a hundredth of the largest where a difference is smaller than that.

    Raises:
        ArgumentError: the learner is not compiled with a loss, or cannot be copied, or has an
            operation that TensorFlow does not have in float64.
    """
    with computing_in_float64():
        learner.build_for(tf.nest.map_structure(lambda x: x[0], tasks["support_x"]))
        copy = float64_copy(learner)
        tasks = tf.nest.map_structure(_as_float64, tasks)
        try:
            pairs = compare(copy, tasks)
        except (TypeError, tf.errors.OpError) as error:
            raise ArgumentError(
                "learner", learner.name, f"it cannot be computed in float64 ({first_line(error)})."
            ) from error
    return dict(zip(_names(learner.trainable_variables), relative_errors(pairs), strict=True))


def relative_errors(pairs: list[tuple[float, float]]) -> list[float]:
    """How far what `compare` gave is off, as `check_meta_gradient` says it."""
    least = max(_LEAST_SHARE * max(abs(difference) for _, difference in pairs), _TINY)
    return [abs(slope - difference) / max(abs(difference), least) for slope, difference in pairs]


def compare(learner: Any, tasks: Any, step: float = 1e-6) -> list[tuple[float, float]]:
    """The derivatives of the meta-loss along a direction of each variable, and its differences.

    Args:
        learner: as it is to be computed.
        tasks: in its precision.
        step: how far to go to either side.
    """

    def loss_and_gradients():
        result, gradients = learner.meta_gradient(learner.start.prepare(learner, tasks))
        return result.loss, gradients

    measure = tf.function(loss_and_gradients, autograph=False)
    try:
        _, gradients = measure()
    except tf.errors.OpError:
        # Some operations, such as AvgPool3D, have a version for float64 in XLA alone.
        measure = tf.function(loss_and_gradients, autograph=False, jit_compile=True)
        _, gradients = measure()
    random = np.random.default_rng(0)
    pairs = []
    for variable, gradient in zip(learner.trainable_variables, gradients, strict=True):
        # Uphill: at right angles to the gradient there would be rounding errors to compare.
        signs = np.where(gradient < 0, -1.0, 1.0)
        direction = np.abs(random.normal(size=signs.shape)) * signs
        direction /= np.linalg.norm(direction)
        middle = variable.numpy()
        try:
            losses = []
            for side in (1, -1):
                variable.assign(middle + side * step * direction)
                losses.append(float(measure()[0]))
        finally:
            variable.assign(middle)
        difference = (losses[0] - losses[1]) / (2 * step)
        pairs.append((float(np.sum(gradient * direction)), difference))
    return pairs


def _names(variables: list[keras.Variable]) -> list[str]:
    names: list[str] = []
    for variable in variables:
        again = names.count(variable.path)
        names.append(f"{variable.path} ({again + 1})" if again else variable.path)
    return names


def _as_float64(values: Any) -> tf.Tensor:
    tensor = tf.convert_to_tensor(values)
    return tf.cast(tensor, tf.float64) if tensor.dtype.is_floating else tensor
