"""The gradients of a batch of tasks, summed as they come.

A learner says what the gradient of one task is; this module runs it for the tasks that this
process holds. Each task is differentiated on its own, and the gradients are added up as they come:
memory does not grow with the number of tasks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfmeta.engine.tasks import Tasks, count_of, vectorize


class TaskResult(NamedTuple):
    """What a learner computes for one task.

    Attributes:
        loss: the meta-loss, a scalar.
        outputs: tensors to be stacked over the tasks.
        sums: tensors to be summed over the tasks.
    """

    loss: tf.Tensor
    outputs: Sequence[tf.Tensor] = ()
    sums: Sequence[tf.Tensor] = ()


# Maps one task to its result and its gradient in each learned tensor.
TaskGradient = Callable[[Tasks], tuple[TaskResult, list[tf.Tensor]]]


def gradients_of(
    tape: tf.GradientTape,
    loss: tf.Tensor | Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    upstream: Sequence[tf.Tensor] | None = None,
) -> list[tf.Tensor]:
    """What `tape.gradient` gives, as dense tensors, and zeros for weights without influence.

    Args:
        tape: watches the weights.
        loss: a scalar, or tensors whose gradients `upstream` are given.
        weights: what to differentiate in.
        upstream: the gradient of each tensor of `loss`.
    """
    gradients = tape.gradient(
        loss,
        weights,
        output_gradients=upstream,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # The rows that were looked up in an embedding come as IndexedSlices, which have no arithmetic.
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def sum_of_gradients(
    task_gradient: TaskGradient,
    learned: Sequence[tf.Tensor],
    tasks: Tasks,
    signature: TaskResult,
    vectorized: bool = False,
    in_flight: int = 4,
) -> tuple[TaskResult, list[tf.Tensor]]:
    """The results and the gradients of a batch of tasks.

    Args:
        task_gradient: maps one task to its `TaskResult` and its gradient in each learned tensor.
        learned: the tensors that are learned.
        tasks: tensors with a leading task axis.
        signature: a `TaskResult` of `tf.TensorSpec`s: what `task_gradient` returns.
        vectorized: run all tasks at once, each operation on the tensors of all tasks. It pays for
            small dense models, whose operations cost less than starting them; it needs a
            vectorized form of every operation, which convolutions, for one, do not have.
        in_flight: the number of tasks at work at once, if not vectorized. Two to four keep the
            cores busy; more crowd each other out of the caches.

    Returns:
        A `TaskResult` whose `loss` is the sum of the losses, `outputs` have a leading task axis,
        and `sums` are sums over the tasks; and the sum of the gradients in each learned tensor.
    """
    if vectorized:
        return _vectorized(task_gradient, tasks)
    return _one_by_one(task_gradient, learned, tasks, signature, in_flight)


def _one_by_one(task_gradient, learned, tasks, signature, in_flight):
    count = count_of(tasks)

    def body(index, loss, gradients, stacks, sums):
        result, task_gradients = task_gradient(
            tf.nest.map_structure(lambda tensor: tensor[index], tasks)
        )
        return (
            index + 1,
            loss + result.loss,
            _plus(gradients, task_gradients),
            [stack.write(index, new) for stack, new in zip(stacks, result.outputs, strict=True)],
            _plus(sums, result.sums),
        )

    start = (
        0,
        tf.zeros([], signature.loss.dtype),
        [tf.zeros_like(tensor) for tensor in learned],
        [tf.TensorArray(spec.dtype, count, element_shape=spec.shape) for spec in signature.outputs],
        [tf.zeros(spec.shape, spec.dtype) for spec in signature.sums],
    )
    _, loss, gradients, stacks, sums = tf.while_loop(
        lambda index, *_: index < count, body, start, parallel_iterations=in_flight
    )
    return TaskResult(loss, [stack.stack() for stack in stacks], sums), gradients


def _plus(totals, tensors):
    return [total + tensor for total, tensor in zip(totals, tensors, strict=True)]


def _vectorized(task_gradient, tasks):
    result, gradients = vectorize(task_gradient, tasks)

    def total(tensor):
        return tf.reduce_sum(tensor, axis=0)

    return (
        TaskResult(
            total(result.loss), list(result.outputs), [total(tensor) for tensor in result.sums]
        ),
        [total(gradient) for gradient in gradients],
    )
