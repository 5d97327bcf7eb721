"""What ranks tell each other; alone in a process every function gives back what it is given.

Every collective goes by one name, and ranks take part in one at a time. So Horovod sees at once
when ranks do different things: a sum meets a gather, or vectors of different lengths meet.
"""

import functools
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta.distributed.stopping import heard, request
from tfmeta.distributed.world import horovod, is_main, rank, size
from tfmeta.errors import ArgumentError

# What DistributedGradientTape calls the gradient of its first source, by a generic name.
_NAME = {"name": "grad_0", "ignore_name_scope": True}


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
    return _sum(tensors, [-1])


# Outside graphs, Horovod's tape would trace a function anew at every call. A vector of a shape of
# its own meets none of a training step.
_sum_graph = tf.function(lambda tensors: _sum(tensors, [1, -1]), autograph=False)


def _sum(tensors, shape):
    wide = any(t.dtype == tf.float64 or t.dtype.is_integer for t in tensors)
    dtype = tf.float64 if wide else tf.float32
    # Whether a rank has been asked to end travels along.
    flat = tf.concat(
        [tf.reshape(tf.cast(tensor, dtype), shape) for tensor in [*tensors, request()]], axis=-1
    )
    with tf.GradientTape() as tape:
        origin = tf.zeros_like(flat)
        tape.watch(origin)
        # Linear in `origin`: its gradient is `flat`.
        value = tf.reduce_sum(origin * flat)
    tape = horovod().DistributedGradientTape(tape, op=horovod().Sum)
    [total] = tape.gradient(value, [origin], use_generic_names=True)
    *parts, requests = tf.split(total, [*(math.prod(t.shape) for t in tensors), 1], axis=-1)
    heard().assign(tf.cast(tf.reshape(requests, []), tf.float32))
    return [
        tf.cast(tf.reshape(part, tensor.shape), tensor.dtype)
        for part, tensor in zip(parts, tensors, strict=True)
    ]


def gather(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Each tensor joined over the ranks along its first axis, in the order of the ranks."""
    if size() == 1:
        return list(tensors)
    return [_gather(tensor) for tensor in tensors]


def _gather(tensor: tf.Tensor) -> tf.Tensor:
    if tensor.dtype == tf.bfloat16:  # which Horovod does not carry
        return tf.cast(_gather(tf.cast(tensor, tf.float32)), tf.bfloat16)
    return _gather_graph(tensor)


# Outside graphs, TensorFlow would not hand the name on.
@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def _gather_graph(tensor):
    return horovod().allgather(tensor, **_NAME)


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def _broadcast_graph(tensor):
    return horovod().broadcast(tensor, root_rank=0, **_NAME)


def broadcast(variables: Sequence[Any]) -> None:
    """Gives every rank rank 0's values of Keras variables, whatever their dtypes."""
    if size() == 1 or not variables:
        return
    values = [np.asarray(variable) for variable in variables]
    own = np.frombuffer(b"".join(value.tobytes() for value in values), np.uint8)
    of_main = _broadcast_graph(tf.constant(own)).numpy().tobytes()
    if rank() == 0:
        return
    first = 0
    for variable, value in zip(variables, values, strict=True):
        part = np.frombuffer(of_main, value.dtype, value.size, first)
        variable.assign(part.reshape(value.shape))
        first += value.nbytes


def gather_objects(value: Any) -> list[Any]:
    """What each rank says, in the order of the ranks; outside graphs, for small objects."""
    if size() == 1:
        return [value]
    own = tf.constant(np.frombuffer(pickle.dumps(value), np.uint8))
    lengths = _gather_graph(tf.shape(own)).numpy()
    pickled = np.split(_gather_graph(own).numpy(), np.cumsum(lengths)[:-1])
    return [pickle.loads(part.tobytes()) for part in pickled]


def on_main(work: Callable[[], Any]) -> Any:
    """The result of work that rank 0 alone does; every rank calls it, outside graphs.

    Args:
        work: gives a small object.

    Raises:
        ArgumentError: rank 0 has met it; all ranks raise it.
    """
    done = problem = None
    if is_main():
        try:
            done = work()
        except ArgumentError as error:
            problem = error
    done, problem = gather_objects((done, problem))[0]
    if problem is not None:
        raise problem
    return done
