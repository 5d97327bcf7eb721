"""Tensors that use the memory of a NumPy array."""

import numpy as np
import tensorflow as tf


def tensor_of(array: np.ndarray) -> tf.Tensor:
    """A tensor on the CPU with the elements of an array, which are not copied.

    `tf.constant` would copy them, twice. Those of a file that is mapped into memory are read as
    they are needed.

    Args:
        array: in C order, beginning at a multiple of 64 bytes; else TensorFlow ends the process. It
            is not to be changed while the tensor is in use.
    """
    with tf.init_scope(), tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(np.asarray(_Lent(array)).__dlpack__())


class _Lent:
    """An array as one that may be written to: DLPack lends out no other. TensorFlow never does."""

    def __init__(self, array: np.ndarray):
        self.array = array  # which lives as long as what is made of this
        data = (array.ctypes.data, False)
        self.__array_interface__ = {**array.__array_interface__, "data": data}
