"""One function of one task, run for many: all at once, or one by one."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Tensors by name, or nests of them, all with a leading task axis.
Tasks = dict[str, Any]


def count_of(tasks: Any) -> tf.Tensor:
    """The number of tasks in a batch (int32 scalar)."""
    return tf.shape(tf.nest.flatten(tasks)[0])[0]


def of_count(tasks: Any, count: int) -> Any:
    """A nest of tensors, known in the graph to hold this number of tasks.

    `vectorize` is faster with it: where the number is unknown, each task's part is gathered, and
    the derivative of that is a sum over segments of all that the tasks hold. XLA requires it.
    """
    return tf.nest.map_structure(
        lambda tensor: tf.ensure_shape(tensor, [count, *tensor.shape[1:]]), tasks
    )


def repeated(tensor: tf.Tensor, tasks: Any) -> tf.Tensor:
    """A tensor once for each task of a batch: `[tasks, *tensor.shape]`."""
    first = tf.nest.flatten(tasks)[0]
    count = first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]
    return tf.broadcast_to(tensor, [count, *tensor.shape])


def vectorize(function: Callable[[Any], Any], tasks: Any) -> Any:
    """Runs a function of one task for all tasks at once.

    A tape outside may differentiate the result where `function` holds no custom gradient, which
    vectorizing would lose. It is faster where weights that all tasks share are used many times:
    their gradients add up within one product of matrices, rather than being made for each task
    first.

    Args:
        function: maps one task to a nest of tensors.
        tasks: a nest of tensors with a leading task axis.

    Returns:
        The nest with a leading task axis.
    """
    if {tensor.shape[0] for tensor in tf.nest.flatten(tasks)} == {1}:
        # There is nothing to vectorize over.
        result = function(tf.nest.map_structure(lambda tensor: tf.squeeze(tensor, 0), tasks))
        return tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), result)
    return tf.vectorized_map(function, tasks, fallback_to_while_loop=False)


def for_each(
    function: Callable[[Any], Any], tasks: Any, vectorized: bool, in_flight: int = 4
) -> Any:
    """Runs a function of one task for each task; differentiable.

    Args:
        function: maps one task to a nest of tensors.
        tasks: a nest of tensors with a leading task axis.
        vectorized: run all tasks at once, see `vectorize`; else one by one.
        in_flight: the number of tasks at work at once, if not vectorized.

    Returns:
        The nest with a leading task axis.
    """
    if vectorized:
        return vectorize(function, tasks)
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), tasks)
    traced = tf.function(function, autograph=False).get_concrete_function(specs)
    signature = tf.nest.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype), traced.structured_outputs
    )
    if not tf.nest.flatten(signature):
        return signature  # nothing to compute, such as the memory of a rule that has none
    return tf.map_fn(function, tasks, fn_output_signature=signature, parallel_iterations=in_flight)
