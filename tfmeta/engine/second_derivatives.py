"""Derivatives that TensorFlow leaves out: those of the gradients of resized images.

Resizing is linear in the image, and so is its gradient in what comes from above: its derivative is
the resizing itself. Of bilinear resizing TensorFlow declares that it is zero, which stands.
"""

import contextlib

import tensorflow as tf


def _of_bicubic(operation, upstream):
    resized = tf.raw_ops.ResizeBicubic(
        images=upstream,
        size=tf.shape(operation.inputs[0])[1:3],
        align_corners=operation.get_attr("align_corners"),
        half_pixel_centers=operation.get_attr("half_pixel_centers"),
    )
    return resized, None  # Of the image it takes the size alone.


def _of_scaling(operation, upstream):
    above, _, scale, translation = operation.inputs
    resized = tf.raw_ops.ScaleAndTranslate(
        images=upstream,
        size=tf.shape(above)[1:3],
        scale=scale,
        translation=translation,
        kernel_type=operation.get_attr("kernel_type"),
        antialias=operation.get_attr("antialias"),
    )
    return resized, None, None, None


def register() -> None:
    """Gives TensorFlow these derivatives, unless it has them."""
    for name, gradient in (
        ("ResizeBicubicGrad", _of_bicubic),
        ("ScaleAndTranslateGrad", _of_scaling),
    ):
        with contextlib.suppress(KeyError):  # It is there.
            tf.RegisterGradient(name)(gradient)
