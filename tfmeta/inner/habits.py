"""What layers may do to variables and devices that a meta-learner cannot follow."""

import functools

import keras
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.inner import traced

SEED = "seed_generator_state"  # the name of the state of Keras's random generators
_WRITES = ("Assign", "ResourceScatter", "StatefulUniform", "StatefulStandard", "RngReadAndSkip")


def check(model: keras.Model, call: traced.Call) -> None:
    """Refuses a model with a layer that does what each task would have to undo, or a CPU cannot.

    Args:
        model: the model.
        call: a call of it in training, in the graph at hand.

    Raises:
        ArgumentError: a layer draws from a generator that knows no seeds of tasks; changes its
            trainable weights, a variable that is no floating-point number, or one that the model
            does not own; reads its weights past Keras; or convolves with channels first where
            TensorFlow cannot.
    """
    for layer in call.unseeded:
        raise _refusal(
            model,
            layer,
            "draws from Python's or NumPy's generator once for a graph, whatever a task's seed",
        )
    for change in call.changes:
        problem = _problem_of(change, model)
        if problem:
            raise _refusal(model, call.layer_of(change.value.name), problem)
    for variable in _read_past_keras(model):
        owners = [one for one in call.layers if any(variable is v for v in one.variables)]
        raise _refusal(
            model,
            owners[-1] if owners else None,
            "reads its weights by other ways than Keras's, so that no inner step can move them; "
            "set its trainable=False",
        )
    for operation in tf.compat.v1.get_default_graph().get_operations():
        problem = _problem_in(operation)
        if problem:
            raise _refusal(model, call.layer_of(operation.name), problem)


def _read_past_keras(model: keras.Model) -> list[keras.Variable]:
    """The trainable weights that the graph at hand reads themselves, not what stands for them."""
    read = {id(tensor) for tensor, _ in tf.compat.v1.get_default_graph().captures}
    return [v for v in model.trainable_variables if id(v.value.handle) in read]


def _problem_of(change: traced.Change, model: keras.Model) -> str | None:
    variable = change.variable
    if variable is None:
        return (
            "changes a variable that is none of the model's weights, such as a metric, or the "
            "generator that keras.random takes where it is given none"
        )
    if any(variable is weight for weight in model.trainable_variables):
        return (
            f"gives its trainable weight {variable.name} another value whenever it is called, "
            "which inner steps cannot follow"
        )
    if not change.value.dtype.is_floating and variable.name != SEED:
        return (
            f"changes {variable.name}, of which there is no mean over tasks, since it is "
            f"{variable.dtype}"
        )
    return None


def _problem_in(operation: tf.Operation) -> str | None:
    if operation.type.startswith(_WRITES):
        return "changes a tf.Variable of its own, which tasks that run side by side would share"
    layout = operation.node_def.attr.get("data_format")
    channels_first = layout is not None and layout.s.startswith(b"NC")
    if channels_first and not operation.type.startswith("BiasAdd"):
        dtype = operation.outputs[0].dtype
        if not _convolves_channels_first(dtype):
            return (
                f"has data_format='channels_first', with which TensorFlow does not train in "
                f"{dtype.name} on this machine; give it 'channels_last'"
            )
    return None


@functools.cache
def _convolves_channels_first(dtype: tf.DType) -> bool:
    """Whether TensorFlow can: on GPUs, and on CPUs by oneDNN, in the types that it has."""

    def gradients(x):
        kernel = tf.ones([2, 2, 2, 2], dtype)
        y = tf.nn.conv2d(x, kernel, 1, "SAME", data_format="NCHW")
        return tf.gradients(y, kernel)[0]

    # In a loop, as tasks are run: elsewhere TensorFlow may choose another order of axes itself.
    looped = tf.function(lambda tasks: tf.map_fn(gradients, tasks), autograph=False)
    try:
        with tf.init_scope():
            looped(tf.ones([2, 1, 2, 4, 4], dtype))
    except tf.errors.OpError:
        return False
    return True


def _refusal(model, layer, problem) -> ArgumentError:
    who = f"its layer {layer.name} ({type(layer).__name__})" if layer else "its own call"
    remedy = "" if ";" in problem else "; leave it out"
    return ArgumentError("model", model.name, f"{who} {problem}{remedy}.")
