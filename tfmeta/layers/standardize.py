"""Standardization with scale and offset, and its first two derivatives in closed form.

Let m be the mean over the n elements along the normalized axes, r = (variance + epsilon)^-1/2,
y = r (x - m(x)) and s = r scale. The output is scale y + offset.

    first derivatives for an upstream gradient a, with p = m(a y):
        in x:       s (a - m(a) - p y)
        in scale:   n p
        in offset:  n m(a)

    second derivatives, of <v, in x> + <e, in scale> + <f, in offset>,
    with q = m(v y) and k = m(v a) - m(v) m(a) - p q:
        in a:       s (v - m(v) - q y) + e y + f
        in scale:   n r k
        in x:       r e (a - m(a) - p y) - r s [ p (v - m(v)) + q (a - m(a)) + (k - 2 p q) y ]

Automatic differentiation of the moments gives the same numbers with many more passes over arrays of
the size of x, and these passes are most of the cost of a normalization. Scale and offset are part
of the function because the scale joins factors of the size of the moments, which costs no pass. The
second derivatives collect such factors first for the same reason.
"""

from collections.abc import Sequence

import tensorflow as tf


def standardize(
    x: tf.Tensor,
    axes: Sequence[int],
    epsilon: float,
    scale: tf.Tensor | float = 1.0,
    offset: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Computes scale (x - mean) / sqrt(variance + epsilon) + offset.

    Args:
        x: floating point, any shape.
        axes: the axes of mean and variance.
        epsilon: added to the variance.
        scale: of the dtype of `x`, and of its shape but with 1 along `axes`.
        offset: like `scale`.

    Returns:
        A tensor of the shape and dtype of `x`.
    """

    def mean(tensor):
        return tf.reduce_mean(tensor, axes, keepdims=True)

    @tf.custom_gradient
    def forward(x, scale, offset):
        centered = x - mean(x)
        r = tf.math.rsqrt(mean(tf.square(centered)) + epsilon)
        y = centered * r

        @tf.custom_gradient
        def first(x, scale, a):
            del x  # An argument only to receive the second derivative in x.
            s = r * scale
            mean_a, p = mean(a), mean(a * y)
            n = tf.cast(tf.size(a) // tf.size(p), a.dtype)

            def second(v, e, f):
                mean_v, q = mean(v), mean(v * y)
                k = mean(v * a) - mean_v * mean_a - p * q
                of_v = -r * s * p
                of_a = r * (e - s * q)
                of_y = -r * (e * p + s * (k - 2.0 * p * q))
                in_x = of_v * v + of_a * a + of_y * y - (of_v * mean_v + of_a * mean_a)
                in_a = s * v + (e - s * q) * y + (f - s * mean_v)
                return in_x, n * r * k, in_a

            return (s * (a - (p * y + mean_a)), n * p, n * mean_a), second

        return y * scale + offset, lambda a: first(x, scale, a)

    # A gradient has the shape of what it is the gradient of, a number's too.
    sizes = tf.shape(x)
    shape = [1 if axis in axes else size or sizes[axis] for axis, size in enumerate(x.shape)]
    scale, offset = (
        tf.fill(shape, tf.cast(factor, x.dtype)) if isinstance(factor, float) else factor
        for factor in (scale, offset)
    )
    return forward(x, tf.cast(scale, x.dtype), tf.cast(offset, x.dtype))
