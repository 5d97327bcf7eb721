"""What XLA needs in order to compile loops and their derivatives."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


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


def compiled(function: Callable[..., Any], arguments: Sequence[Any], vectorized: bool) -> Any:
    """The result of a function, compiled by XLA as one, within another graph.

    Args:
        function: of nests of tensors, to a nest of tensors.
        arguments: of the function.
        vectorized: whether the function vectorizes over tasks, see `vectorize`.
    """
    if vectorized:
        # It is traced before XLA is spoken of. While XLA compiles, `tf.vectorized_map` makes a
        # function of its own of what it vectorizes, and what goes into that XLA takes for constants
        # as soon as the derivative asks for the shape of anything inside: it would compile anew
        # whenever a parameter has moved. Loops over tasks, though, have to be built for XLA.
        function = tf.function(function, autograph=False).get_concrete_function(*arguments)
    return tf.function(lambda *tensors: function(*tensors), autograph=False, jit_compile=True)(
        *arguments
    )
