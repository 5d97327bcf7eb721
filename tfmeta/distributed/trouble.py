"""What Horovod's errors mean; TensorFlow wraps them in errors of its own."""

import tensorflow as tf


def disagree(error: BaseException) -> bool:
    """Whether ranks met with tensors that do not go together.

    All of them are told so, and can talk to each other as before.
    """
    return isinstance(error, tf.errors.OpError) and "Mismatched" in error.message


def ended(error: BaseException) -> bool:
    """Whether another rank has ended, so that nothing can be said to it any more."""
    return isinstance(error, tf.errors.OpError) and "Horovod has been shut down" in error.message
