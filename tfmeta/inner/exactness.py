"""Whether second derivatives through a Keras model are those of what it computes.

Two things make them wrong, wherever they hide: in a layer of Keras's, in a layer within another, in
one's own functions. Both are seen in the graph of the model and its derivatives.

An operation may have no second derivative. TensorFlow mostly says so; of some operations it takes
their derivative for zero. The operation's name says which layer it belongs to.

A gradient may be stopped on its way. With c the stopped value, a function of the weights w, and
F(w, c) a loss of the outputs, the derivatives that TensorFlow takes are F_w and F_ww v. Those of
the loss itself have c_w' F_c and c_w' F_cw v besides (and more, where F_c is not zero). Where both
vanish, the stop changes nothing: c is no function of the weights, or the loss is none of c, as with
the maximum that `tf.reduce_logsumexp` subtracts and adds again. `tf.nn.moments` takes the variance
about a stopped mean. The variance is stationary in it, so F_c vanishes, and first derivatives are
right. F_cw does not vanish.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfmeta.inner import traced

# Terms that cancel leave their rounding errors, 1e-7 of the derivatives in float32; what a stop
# changes is 1e-3 of them and more. By the bytes of a type, what lies between.
_NOISE = {2: 1e-2, 4: 3e-5, 8: 1e-9}
# What TensorFlow takes for constant, and is not.
_TAKEN_FOR_CONSTANT = {
    "ResizeBilinearGrad",
    "PyFunc",
    "PyFuncStateless",
    "LinSpace",
    "SparseAddGrad",
    "SparseConcat",
}
# Types of operations that have been differentiated twice. To do so takes most of the time.
_twice_differentiable: set[str] = set()
# For sizes that the model leaves open: of a batch, and of an example.
_BATCH, _SIDE = 4, 32


class Fault(NamedTuple):
    """What keeps second derivatives from being exact.

    Attributes:
        layer: the innermost layer that it lies in; None if it lies between layers.
        operation: the type of an operation without a second derivative; None where a gradient
            is stopped.
    """

    layer: keras.layers.Layer | None
    operation: str | None


class _Stop(NamedTuple):
    """Where a gradient ends.

    Attributes:
        operation: its operation, or the one in whose function it lies.
        names: of both, the inner one first.
        kind: the type of the inner one.
    """

    operation: tf.Operation
    names: tuple[str, ...]
    kind: str

    def is_plain(self) -> bool:
        """Whether it is a stopped gradient that can be followed."""
        return self.kind == self.operation.type == "StopGradient"


def find_fault(
    model: keras.Model,
    spec: Any,
    seen: Callable[[traced.Call], None],
    adapting: Sequence[int] | None = None,
) -> Fault | None:
    """Looks for what would make second derivatives through a model wrong, in training.

    Args:
        model: a built model.
        spec: `tf.TensorSpec` of its inputs, nested as the model nests them.
        seen: is given the call of the model, in its graph, before derivatives are taken.
        adapting: the trainable variables, by their index, that inner steps move: second derivatives
            are those in one of them and in any other. None for all.
    """
    calls: list[traced.Call] = []
    plain: list[_Stop] = []
    hidden: list[_Stop] = []

    def measure(call, weights):
        seen(call)
        calls.append(call)
        loss = _loss(calls[0])
        first = tf.gradients(loss, weights)
        places = range(len(weights)) if adapting is None else adapting
        slope = _along_a_direction([first[p] for p in places], [weights[p] for p in places])
        if slope is None:
            return []
        between = _depending_on(weights)
        for stop in _stops(between):
            if stop.is_plain():
                plain.append(stop)
            elif _influences(stop, [loss, slope]):
                hidden.append(stop)
        kinds = {operation.type for operation in between}
        if not plain and kinds <= _twice_differentiable:
            return []
        second = tf.gradients(slope, weights)
        if not any(_functions(operation.node_def) for operation in between):
            _twice_differentiable.update(kinds)
        if not plain:
            return []
        return [_size([*first, *second]), *_lost([loss, slope], weights, plain)]

    try:
        function = traced.in_graph(model, spec, measure)
    except LookupError as error:
        if type(error) is not LookupError or not calls:  # a mistake in the model
            raise
        # TensorFlow's sentence cites the operation.
        kind = str(error).partition("(op type: ")[2].partition(")")[0]
        return Fault(calls[0].layer_of(str(error)), kind or "unknown")
    stop = hidden[0] if hidden else None
    if plain and not hidden:
        stop = _first_that_matters(plain, function, model, spec)
    if stop is None:
        return None
    operation = None if stop.kind == "StopGradient" else stop.kind
    return Fault(calls[0].layer_of(*stop.names), operation)


def _loss(call: traced.Call) -> tf.Tensor:
    """A scalar that curves in every output."""
    terms = [tf.zeros([]), *call.losses]
    for number, output in enumerate(keras.tree.flatten(call.outputs)):
        if output is not None and output.dtype.is_floating:
            scale, shift = (_drawn(output, [number, part]) for part in (0, 1))
            terms.append(tf.reduce_sum(scale * tf.square(output + shift)))
    return tf.add_n([tf.cast(term, terms[-1].dtype) for term in terms])


def _along_a_direction(gradients, weights) -> tf.Tensor | None:
    """The derivative of the loss along one direction of all weights; None if it is constant."""
    terms = [
        tf.reduce_sum(gradient * _drawn(weight, [number, 2]))
        for number, (gradient, weight) in enumerate(zip(gradients, weights, strict=True))
        if gradient is not None
    ]
    return tf.add_n([tf.cast(term, terms[0].dtype) for term in terms]) if terms else None


def _drawn(like: tf.Tensor, seed: Sequence[int]) -> tf.Tensor:
    return tf.cast(tf.random.stateless_normal(tf.shape(like), seed), like.dtype)


def _size(tensors: Iterable[tf.Tensor | None]) -> tf.Tensor:
    squares = [
        tf.reduce_sum(tf.square(tf.cast(tf.abs(tensor), tf.float64)))
        for tensor in tensors
        if tensor is not None
    ]
    return tf.sqrt(tf.add_n(squares)) if squares else tf.zeros([], tf.float64)


def _influences(stop, targets) -> bool:
    outputs = stop.operation.outputs
    if any(tensor.dtype == tf.variant for tensor in outputs):
        return True  # What is in a list has no derivatives to ask for.
    values = [tensor for tensor in outputs if _has_derivatives(tensor.dtype)]
    return any(part is not None for part in tf.gradients(targets, values))


def _lost(targets, weights, stops) -> list[tf.Tensor]:
    """What derivatives lose where they stop: the size of it at the weights; then at each stop."""
    at_weights: list[tf.Tensor | None] = []
    at_stops: list[list[tf.Tensor | None]] = [[] for _ in stops]
    for target in targets:
        blocked = tf.gradients(target, [stop.operation.outputs[0] for stop in stops])
        for parts, part in zip(at_stops, blocked, strict=True):
            parts.append(part)
        led_on = [
            (stop.operation.inputs[0], part)
            for stop, part in zip(stops, blocked, strict=True)
            if part is not None
        ]
        if led_on:
            sources, gradients = zip(*led_on, strict=True)
            at_weights += tf.gradients(sources, weights, grad_ys=gradients)
    return [_size(at_weights), *map(_size, at_stops)]


def _stops(operations: Sequence[tf.Operation]) -> list[_Stop]:
    """Those of some operations at which gradients end, or within whose functions."""
    graph = tf.compat.v1.get_default_graph()
    library = graph.as_graph_def().library.function
    bodies = {function.signature.name: function.node_def for function in library}

    def inner_stop(node, seen=()):
        """The type of what ends gradients in the functions of an operation, and its names."""
        for name in set(_functions(node)) - set(seen):
            for inner in bodies.get(name, ()):
                kind, names = inner.op, (inner.name,)
                if not _ends(kind):
                    kind, names = inner_stop(inner, (*seen, name))
                    names = (*names, inner.name)
                if kind:
                    return kind, names
        return "", ()

    stops = []
    for operation in operations:
        kind, names = operation.type, ()
        if not _ends(kind):
            kind, names = inner_stop(operation.node_def)
        if kind:
            stops.append(_Stop(operation, (*names, operation.name), kind))
    return stops


def _ends(kind: str) -> bool:
    return kind == "StopGradient" or kind in _TAKEN_FOR_CONSTANT


def _functions(node) -> list[str]:
    """The names of the functions that an operation calls."""
    lists = [attribute.list.func for attribute in node.attr.values()]
    single = [[a.func] for a in node.attr.values() if a.HasField("func")]
    return [function.name for functions in (*single, *lists) for function in functions]


def _depending_on(tensors: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """The operations that derivatives may lead to from some tensors, in their order."""
    found, ahead = set(), list(tensors)
    while ahead:
        for operation in ahead.pop().consumers():
            if operation not in found:
                found.add(operation)
                ahead += [tensor for tensor in operation.outputs if _has_derivatives(tensor.dtype)]
    return [op for op in tf.compat.v1.get_default_graph().get_operations() if op in found]


def _has_derivatives(dtype: tf.DType) -> bool:
    # A variant is the list in which a loop keeps what it makes.
    return dtype.is_floating or dtype.is_complex or dtype == tf.variant


def _first_that_matters(stops, function, model, spec) -> _Stop | None:
    """The first stop that changes a derivative, if any does, by running the graph."""
    try:
        with tf.init_scope():  # A learner's own graph may be in the making.
            scale, lost, *at_stops = map(float, function(_near(model), _examples(spec)))
    except tf.errors.OpError:  # The model does not take just any examples: all that is known is
        return stops[0]  # that a gradient stops.
    least = max(_NOISE[stop.operation.outputs[0].dtype.real_dtype.size] for stop in stops)
    if lost <= least * scale:
        return None
    for stop, size in zip(stops, at_stops, strict=True):
        if not size <= least * scale:
            return stop
    return stops[0]


def _near(model: keras.Model) -> list[tf.Tensor]:
    """Values of the model's variables, weights a little off theirs, of which some may be zero."""
    weights = [
        variable.value + 0.1 * _drawn(variable.value, [number, 3])
        for number, variable in enumerate(model.trainable_variables)
    ]
    return [*weights, *(variable.value for variable in model.non_trainable_variables)]


def _examples(spec: Any) -> Any:
    """A batch of inputs."""

    def examples(spec):
        shape = [size or (_SIDE if axis else _BATCH) for axis, size in enumerate(spec.shape)]
        if spec.dtype.is_floating:
            return tf.cast(tf.random.stateless_normal(shape, [0, 4]), spec.dtype)
        return tf.zeros(shape, spec.dtype)

    return tf.nest.map_structure(examples, spec)
