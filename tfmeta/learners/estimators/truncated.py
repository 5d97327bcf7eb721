"""The gradient of an unroll, by differentiating through its steps."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmeta import engine
from tfmeta.checks import check_positive
from tfmeta.learners.estimators.base import Estimator


@keras.saving.register_keras_serializable("tfmeta")
class TruncatedGradient(Estimator):
    """The derivative of the meta-loss of an unroll; none reaches back to the unrolls before it.

    Over many steps a few problems at the edge of stability have gradients larger than all others
    by many powers of ten (Metz et al. 2019, arXiv 1810.10180): their sum is theirs alone. With
    `problem_clip` every problem has a say, however it is doing.

    Args:
        problem_clip: bound of the length of each problem's gradient, over all parameters; a longer
            one is scaled down to it. Where set, elements that are not finite count as zero. None
            for no bound.

    Raises:
        ArgumentError: the bound is not a positive finite number.
    """

    def __init__(self, problem_clip: float | None = None):
        if problem_clip is not None:
            problem_clip = check_positive("problem_clip", problem_clip)
        self.problem_clip = problem_clip

    def __call__(self, run, parameters, tasks):
        clip = self.problem_clip
        own = clip is not None
        learned = [engine.repeated(p, tasks) for p in parameters] if own else parameters
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(learned)
            unroll = run(learned, own=own)
            loss = tf.reduce_sum(unroll.losses)
        gradients = engine.gradients_of(tape, loss, learned)
        if clip is not None:
            gradients = [tf.reduce_sum(g, axis=0) for g in clipped(gradients, clip)]
        return gradients, unroll

    def get_config(self):
        return {"problem_clip": self.problem_clip}


def clipped(gradients: Sequence[tf.Tensor], bound: float) -> list[tf.Tensor]:
    """Gradients of many problems, each scaled down to a length.

    Args:
        gradients: the parts of the gradient of each problem, `[problems, ...]`. Elements that are
            not finite count as zero.
        bound: of the length of each problem's gradient, over all parts.
    """
    gradients = [tf.where(tf.math.is_finite(g), g, tf.zeros_like(g)) for g in gradients]
    flat = tf.concat([tf.reshape(g, [tf.shape(g)[0], -1]) for g in gradients], axis=1)
    # Squares of gradients that are large, but finite, need not be.
    largest = tf.reduce_max(tf.abs(flat), axis=1, keepdims=True)
    largest = tf.where(largest > 0, largest, tf.ones_like(largest))
    length = largest[:, 0] * tf.norm(flat / largest, axis=1)
    factor = bound / tf.maximum(length, bound)
    return [g * tf.reshape(factor, [-1] + [1] * (len(g.shape) - 1)) for g in gradients]
