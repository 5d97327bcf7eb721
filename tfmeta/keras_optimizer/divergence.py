"""Steps that are not finite: they are left out, and the training stops with a sentence."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfmeta.errors import DivergedError

# Where in the note is what.
_CAUSE, _STEP, _LARGEST, _FIRST_LARGEST = range(4)
# Why a step was left out.
_WEIGHTS, _GRADIENTS, _RULE = 1, 2, 3
# Weights that are so many times their first size have diverged.
_GROWN = 100.0


class Guard:
    """Leaves out a step that is not finite and all after it, until Python has been told.

    Nothing can be raised from within a graph that XLA compiles, which is what `fit` does unless it
    is told otherwise. So a graph notes in a variable why a step was left out, and whenever Python
    calls the graph again, it looks at the note first.
    """

    def __init__(self) -> None:
        with tf.init_scope():
            # float64 holds all weights and numbers of steps. It is not saved: a loaded model has
            # not diverged.
            self._note = tf.Variable(tf.zeros([4], tf.float64), trainable=False)
            self._true = tf.constant(True)

    def taken(
        self,
        iterations: tf.Tensor,
        weights: Sequence[tf.Tensor],
        gradients: Sequence[tf.Tensor],
        results: Sequence[tf.Tensor],
    ) -> tf.Tensor:
        """Whether the step is taken: a bool, false as well after a step that was not.

        Args:
            iterations: the number of steps before this one.
            weights: before the step.
            gradients: as the rule was shown them.
            results: the weights after it.
        """
        cause = tf.where(_finite(results), 0, _RULE)
        cause = tf.where(_finite(gradients), cause, _GRADIENTS)
        cause = tf.where(_finite(weights), cause, _WEIGHTS)
        largest = tf.reduce_max([tf.reduce_max(tf.abs(weight)) for weight in weights])
        note = tf.convert_to_tensor(self._note)
        first = tf.where(note[_FIRST_LARGEST] > 0, note[_FIRST_LARGEST], _double(largest))
        new = tf.stack([_double(cause), _double(iterations) + 1, _double(largest), first])
        stopped = self.stopped()
        self._note.assign(tf.where(stopped, note, new))
        return tf.logical_not(stopped | (cause > 0))

    def stopped(self) -> tf.Tensor:
        """Whether a step has been left out: a bool."""
        return tf.convert_to_tensor(self._note)[_CAUSE] > 0

    def watch(self, check: Callable[[], None]) -> None:
        """Has `check` called before each call of the graph that is being built; now if none is.

        Args:
            check: raises if a step was left out.
        """
        if tf.executing_eagerly():
            check()
            return

        def checked():
            check()
            return self._true

        # A function that calls this one takes over what it captures, but not through a loop such
        # as that of `fit` with several steps in an execution.
        graph = tf.compat.v1.get_default_graph()
        while isinstance(graph, tf.__internal__.FuncGraph):
            if type(graph) is tf.__internal__.FuncGraph:  # no branch, and no body of a loop
                graph.capture_call_time_value(
                    checked, tf.TensorSpec([], tf.bool), key=self, default_value=self._true
                )
            graph = graph.outer_graph

    def error(self, optimizer: keras.optimizers.Optimizer) -> DivergedError | None:
        """What says that a step was left out, and why; None if none was.

        Args:
            optimizer: which has left it out.
        """
        note = self._note.numpy()
        if not note[_CAUSE]:
            return None
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        return DivergedError(optimizer.name, int(note[_STEP]), _sentence(note, rate))

    def clear(self) -> None:
        """Lets steps be taken again."""
        self._note.assign(tf.zeros_like(self._note))


def _sentence(note, learning_rate: float) -> str:
    remedy = f"lower learning_rate (it is {learning_rate:g}), or give clipnorm"
    if note[_CAUSE] == _RULE:
        return f"the step that the rule takes is not finite; {remedy}"
    if note[_CAUSE] == _WEIGHTS:
        return "a weight was not finite before it; look at what sets weights beside the optimizer"
    sizes = f"{note[_LARGEST]:.3g} (at first {note[_FIRST_LARGEST]:.3g})"
    if note[_LARGEST] > _GROWN * max(note[_FIRST_LARGEST], 1.0):
        return f"the largest weight has grown to {sizes}, and gradients are not finite; {remedy}"
    return (
        f"gradients are not finite, though the largest weight is {sizes}; look for NaN and "
        "infinity in the data and in the loss"
    )


def _finite(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether all numbers are."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


def _double(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.float64)
