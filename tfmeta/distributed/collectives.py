"""What ranks tell each other; alone in a process every function gives back what it is given."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfmeta.distributed.world import horovod, size


def sum_over_ranks(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Each tensor summed over the ranks; this is where gradients meet.

    All travel as one vector, through Horovod's DistributedGradientTape: one round of negotiation,
    whatever the number of tensors, and sums that have the same bits in every run. The number of
    bytes that a rank sends does not depend on the number of ranks.

    Args:
        tensors: of known shapes. Sums are computed in float32, or in float64 if any tensor is
            float64 or an integer.

    Returns:
        The sums, in the dtypes of the tensors.
    """
    if size() == 1 or not tensors:
        return list(tensors)
    if tf.executing_eagerly():
        return _sum_graph(list(tensors))
    wide = any(t.dtype == tf.float64 or t.dtype.is_integer for t in tensors)
    dtype = tf.float64 if wide else tf.float32
    flat = tf.concat([tf.reshape(tf.cast(tensor, dtype), [-1]) for tensor in tensors], axis=0)
    with tf.GradientTape() as tape:
        origin = tf.zeros_like(flat)
        tape.watch(origin)
        # Linear in `origin`: its gradient is `flat`.
        value = tf.reduce_sum(origin * flat)
    tape = horovod().DistributedGradientTape(tape, op=horovod().Sum, num_groups=1)
    [total] = tape.gradient(value, [origin])
    parts = tf.split(total, [math.prod(tensor.shape) for tensor in tensors])
    return [
        tf.cast(tf.reshape(part, tensor.shape), tensor.dtype)
        for part, tensor in zip(parts, tensors, strict=True)
    ]


# Outside graphs, Horovod's tape would trace a function anew at every call.
_sum_graph = tf.function(sum_over_ranks, autograph=False)


def gather(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Each tensor joined over the ranks along its first axis, in the order of the ranks."""
    if size() == 1:
        return list(tensors)
    return [_gather(tensor, f"gather.{i}") for i, tensor in enumerate(tensors)]


def _gather(tensor: tf.Tensor, name: str) -> tf.Tensor:
    if tensor.dtype == tf.bfloat16:  # which Horovod does not carry
        return tf.cast(_gather(tf.cast(tensor, tf.float32), name), tf.bfloat16)
    return horovod().allgather(tensor, name=name)


def broadcast(variables: Sequence[Any]) -> None:
    """Gives every rank rank 0's values of Keras variables."""
    if size() > 1:
        horovod().broadcast_variables([variable.value for variable in variables], root_rank=0)


def gather_objects(value: Any) -> list[Any]:
    """What each rank says, in the order of the ranks; outside graphs, for small objects."""
    if size() == 1:
        return [value]
    return horovod().allgather_object(value)
