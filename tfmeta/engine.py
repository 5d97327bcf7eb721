"""The meta-gradient of a batch of tasks: one place, for every learner.

A learner says what the meta-loss of one task is; the engine maps it over the tasks that this
process holds. Each task is differentiated inside the map, and the gradients are added up as they
come: memory does not grow with the number of tasks. The outer tape sees the whole batch as one
operation whose gradient is already known (a custom gradient), so that Horovod's
DistributedGradientTape can merge it with those of the other ranks.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

# Tensors by name, or nests of them, all with a leading task axis.
Tasks = dict[str, Any]


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


TaskFunction = Callable[[Sequence[tf.Tensor], Tasks], TaskResult]


def meta_loss(
    task_function: TaskFunction,
    weights: Sequence[tf.Tensor],
    tasks: Tasks,
    signature: TaskResult,
    in_flight: int = 4,
    stacked: bool = False,
) -> TaskResult:
    """The meta-losses of a batch of tasks, with the gradient of their sum.

    Args:
        task_function: `(weights, task) -> TaskResult` for one task, differentiable in the weights
            as often as the learner needs.
        weights: what the learner learns.
        tasks: tensors with a leading task axis.
        signature: a TaskResult of `tf.TensorSpec`s: what `task_function` returns.
        in_flight: how many tasks may be at work at once. Two to four keep the cores busy; more
            crowd each other out of the caches.
        stacked: run all tasks as one, each operation on the tensors of all tasks at once. It pays
            for small dense models, whose operations cost less than starting them; it needs a
            vectorised form of every operation, which convolutions, for one, do not have.

    Returns:
        `loss`: the sum of the losses over the tasks; a tape that watches `weights` gets its
        gradient. `outputs` with a leading task axis, and `sums`, carry no gradient.
    """

    run = _stacked if stacked else _mapped

    def compute(weights):
        loss, gradients, outputs, sums = run(task_function, weights, tasks, signature, in_flight)
        return loss, gradients, (outputs, sums)

    loss, (outputs, sums) = with_gradient(compute, weights)
    return TaskResult(loss, outputs, sums)


def with_gradient(
    compute: Callable[[list[tf.Tensor]], tuple[tf.Tensor, list[tf.Tensor], Any]],
    weights: Sequence[tf.Tensor],
) -> tuple[tf.Tensor, Any]:
    """A loss whose gradient is computed along with it, as one operation to an outer tape.

    Args:
        compute: of the weights, to the loss, its gradient in each weight, and a nest of other
            tensors.
        weights: what the outer tape may watch.

    Returns:
        The loss, and the other tensors, which carry no gradient.
    """
    nest = None

    @tf.custom_gradient
    def batch(*weights):
        nonlocal nest
        loss, gradients, nest = compute(list(weights))

        def backward(upstream, *_):
            return [upstream * gradient for gradient in gradients]

        return (loss, *tf.nest.flatten(nest)), backward

    loss, *others = batch(*weights)
    return loss, tf.nest.pack_sequence_as(nest, [tf.stop_gradient(other) for other in others])


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, computed once more when it is differentiated: nothing but its arguments is kept.

    In a loop it is this that lets XLA compile the derivative. A loop keeps what its body computes,
    axes and shapes among it, for the way back, while XLA has to know these when it compiles.
    (`tf.recompute_grad` would silence the tapes within `function` too.)

    Args:
        function: of nests of tensors, to a nest of tensors. The derivative is in the arguments
            alone, not in what the function refers to besides.
    """

    def run(*arguments):
        @tf.custom_gradient
        def flat(*tensors):
            def backward(*upstream):
                learned = [tensor for tensor in tensors if tensor.dtype.is_floating]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(learned)
                    results = function(*tf.nest.pack_sequence_as(arguments, tensors))
                gradients = iter(
                    tape.gradient(
                        tf.nest.flatten(results),
                        learned,
                        output_gradients=list(upstream),
                        unconnected_gradients=tf.UnconnectedGradients.ZERO,
                    )
                )
                return [next(gradients) if t.dtype.is_floating else None for t in tensors]

            return function(*tf.nest.pack_sequence_as(arguments, tensors)), backward

        return flat(*tf.nest.flatten(arguments))

    return run


def compiled(function: Callable[..., Any], arguments: Sequence[Any], stacked: bool) -> Any:
    """The result of a function, compiled by XLA as one, within another graph.

    Args:
        function: of nests of tensors, to a nest of tensors.
        arguments: of the function.
        stacked: whether its `for_each` stack tasks.
    """
    if stacked:
        # It is traced before XLA is spoken of. While XLA compiles, `tf.vectorized_map` makes a
        # function of its own of what it vectorises, and what goes into that XLA takes for constants
        # as soon as the derivative asks for the shape of anything inside: it would compile anew
        # whenever a parameter has moved. Loops over tasks, though, have to be built for XLA.
        function = tf.function(function, autograph=False).get_concrete_function(*arguments)
    return tf.function(lambda *tensors: function(*tensors), autograph=False, jit_compile=True)(
        *arguments
    )


def _differentiate(task_function, weights, task):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        result = task_function(weights, task)
    return result, gradients_of(tape, result.loss, weights)


def gradients_of(
    tape: tf.GradientTape, loss: tf.Tensor, weights: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """What `tape.gradient` gives, as dense tensors, and zeros for weights without influence."""
    gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # The rows that were looked up in an embedding come as IndexedSlices, which have no arithmetic.
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def count_of(tasks: Tasks) -> tf.Tensor:
    """How many tasks a batch holds (int32 scalar)."""
    return tf.shape(tf.nest.flatten(tasks)[0])[0]


def _mapped(task_function, weights, tasks, signature, in_flight):
    count = count_of(tasks)

    def body(index, loss, gradients, stacks, sums):
        task = tf.nest.map_structure(lambda tensor: tensor[index], tasks)
        result, task_gradients = _differentiate(task_function, weights, task)
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
        [tf.zeros_like(weight) for weight in weights],
        [tf.TensorArray(spec.dtype, count, element_shape=spec.shape) for spec in signature.outputs],
        [tf.zeros(spec.shape, spec.dtype) for spec in signature.sums],
    )
    _, loss, gradients, stacks, sums = tf.while_loop(
        lambda index, *_: index < count, body, start, parallel_iterations=in_flight
    )
    return loss, gradients, [stack.stack() for stack in stacks], sums


def _plus(totals, tensors):
    return [total + tensor for total, tensor in zip(totals, tensors, strict=True)]


def _stacked(task_function, weights, tasks, signature, in_flight):
    del signature, in_flight  # needed only by a loop
    result, gradients = stack(lambda task: _differentiate(task_function, weights, task), tasks)

    def total(tensor):
        return tf.reduce_sum(tensor, axis=0)

    return (
        total(result.loss),
        [total(gradient) for gradient in gradients],
        list(result.outputs),
        [total(tensor) for tensor in result.sums],
    )


def stack(function: Callable[[Any], Any], tasks: Any) -> Any:
    """`function` of each task, all tasks at once.

    A tape outside may differentiate the result where `function` holds no custom gradient, which
    vectorising would lose. It is the quicker way, if weights that all tasks share are used many
    times: their gradients add up within one product of matrices, rather than being made for each
    task first.

    Args:
        function: of one task, to a nest of tensors.
        tasks: a nest of tensors with a leading task axis.

    Returns:
        The nest with a leading task axis.
    """
    if {tensor.shape[0] for tensor in tf.nest.flatten(tasks)} == {1}:
        # Alone there is nothing to stack it with.
        result = function(tf.nest.map_structure(lambda tensor: tf.squeeze(tensor, 0), tasks))
        return tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), result)
    return tf.vectorized_map(function, tasks, fallback_to_while_loop=False)


def of_count(tasks: Any, count: int) -> Any:
    """A nest of tensors, known in the graph to have so many tasks.

    `stack` is quicker with it: where the number is unknown, each task's part is gathered, and the
    derivative of that is a sum over segments of all that the tasks hold. XLA asks for it anyway.
    """
    return tf.nest.map_structure(
        lambda tensor: tf.ensure_shape(tensor, [count, *tensor.shape[1:]]), tasks
    )


def for_each(function: Callable[[Any], Any], tasks: Any, stacked: bool, in_flight: int = 4) -> Any:
    """`function` of each task, the results with a leading task axis; differentiable.

    Args:
        function: of one task, to a nest of tensors.
        tasks: a nest of tensors with a leading task axis.
        stacked: run all tasks as one, see `stack`; else one by one.
        in_flight: how many tasks may be at work at once, if not stacked.
    """
    if stacked:
        return stack(function, tasks)
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), tasks)
    traced = tf.function(function, autograph=False).get_concrete_function(specs)
    signature = tf.nest.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype), traced.structured_outputs
    )
    return tf.map_fn(function, tasks, fn_output_signature=signature, parallel_iterations=in_flight)
