"""A data set of the user's, whole in memory."""

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmeta.environment import memory
from tfmeta.errors import ArgumentError


def in_memory(dataset: tf.data.Dataset, argument: str) -> tuple[tf.Tensor, tf.Tensor]:
    """All whole batches; a last one of fewer examples is left out, with a warning.

    Args:
        dataset: of batches (x, y), of a known length.
        argument: its name, for what is said of it.

    Returns:
        x and y, `[batches, examples, ...]`.

    Raises:
        ArgumentError: the elements are no such batches, or differ; or there are none, too many for
            the memory, or nobody knows how many.
    """
    _check_elements(dataset.element_spec, argument)
    _check_length(dataset.cardinality(), argument)
    _check_size(dataset, argument)
    batches = list(dataset)
    if not batches:
        raise ArgumentError(argument, "empty", "give at least one batch.")
    _check_shapes(batches, argument)
    size, rest = len(batches[0][0]), len(batches[-1][0])
    if rest < size:
        batches.pop()
        warnings.warn(
            f"{argument}: the last batch has {rest} examples, the others {size}; it is left out. "
            "Choose a batch size that divides the number of examples to train on all of them.",
            stacklevel=3,
        )
    x, y = zip(*batches, strict=True)
    return tf.stack(x), tf.stack(y)


def in_outermost_graph(shared: Callable[[], Any]) -> Any:
    """What all problems of a family share, as tensors of the outermost graph being built.

    TensorFlow cannot differentiate a loop that XLA is to compile if tensors or variables made
    outside all graphs are used in it; tensors of a graph around it are handed in.

    Args:
        shared: gives a nest of tensors, or of what was made outside any graph.
    """
    if tf.executing_eagerly():
        return shared()
    graph = tf.compat.v1.get_default_graph()
    while isinstance(graph.outer_graph, tf.__internal__.FuncGraph):
        graph = graph.outer_graph
    with graph.as_default():
        return tf.nest.map_structure(tf.identity, shared())


def _check_elements(spec, argument):
    if isinstance(spec, tuple) and len(spec) == 3:
        raise ArgumentError(
            argument,
            spec,
            "give batches (x, y), without weights of examples: "
            "dataset.map(lambda x, y, weight: (x, y)).",
        )
    pair = isinstance(spec, tuple) and len(spec) == 2
    if pair and any(isinstance(part, tf.RaggedTensorSpec | tf.SparseTensorSpec) for part in spec):
        raise ArgumentError(
            argument,
            spec,
            "make its tensors dense: ragged ones by to_tensor, or tf.sparse.to_dense.",
        )
    if not pair or any(
        not isinstance(part, tf.TensorSpec) or part.shape.rank == 0 for part in spec
    ):
        raise ArgumentError(argument, spec, "give batches (x, y) of one tensor each.")


def _check_length(length, argument):
    if length == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(argument, "endless", "give as many batches as memory holds: take(n).")
    if length == tf.data.UNKNOWN_CARDINALITY:
        # One that has no end would be read until memory is full.
        raise ArgumentError(
            argument,
            "of unknown length",
            "say how many batches it has: "
            "dataset.apply(tf.data.experimental.assert_cardinality(n)), after take(n) if it has "
            "no end.",
        )


def _check_size(dataset, argument):
    batches = int(dataset.cardinality())
    # While the batches are joined they are there twice.
    needed, left = 2 * batches * sum(map(_bytes, dataset.take(1))), memory.available()
    if needed > left:
        raise ArgumentError(
            argument,
            f"{batches} batches",
            f"they need {memory.readable(needed)}, but {memory.readable(left)} of memory are "
            "available; give fewer: take(n).",
        )


def _bytes(batch):
    return sum(int(tf.size(part)) * part.dtype.size for part in batch)


def _check_shapes(batches, argument):
    first = [part.shape for part in batches[0]]
    for number, batch in enumerate(batches, 1):
        shapes = [part.shape for part in batch]
        ours, theirs = (shape[0] for shape in shapes)
        if ours != theirs:
            raise ArgumentError(
                argument,
                f"batch {number}",
                f"x has {ours} examples and y {theirs}; give as many of both.",
            )
        last = number == len(batches)
        same = [shape[1:] for shape in shapes] == [shape[1:] for shape in first]
        if not same or ours > first[0][0] or (shapes != first and not last):
            raise ArgumentError(
                argument,
                f"batch {number}",
                f"x and y are of shapes {_listed(shapes)}, in the first batch {_listed(first)}; "
                "give batches of one shape.",
            )


def _listed(shapes):
    return " and ".join(str(tuple(shape)) for shape in shapes)
