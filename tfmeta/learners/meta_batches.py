"""What a meta-batch may hold, checked before any graph is built, and as it comes."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.learners.class_names import check_class_numbers

# Nests of tensors [tasks, examples, ...] that every meta-batch has.
EXAMPLES = ("support_x", "support_y", "query_x", "query_y")
# What it may have besides: weights of examples [tasks, examples], seeds [tasks, 2], weights of
# tasks [tasks], and the families [tasks] that clusters by label read.
OPTIONAL = ("support_weight", "query_weight", "seed", "weight", "family")


def check_meta_batch(spec: Any) -> None:
    """Refuses meta-batches that a learner could not train on, or would read only in part.

    Args:
        spec: the `element_spec` of their dataset.

    Raises:
        ArgumentError: naming the entry.
    """
    if not isinstance(spec, dict):
        raise ArgumentError(
            "x",
            type(spec).__name__,
            "give meta-batches, dictionaries of support_x, support_y, query_x and query_y.",
        )
    for name in EXAMPLES:
        if name not in spec:
            raise ArgumentError("x", name, "a meta-batch lacks this entry; add it.")
    for name in spec:
        if name not in (*EXAMPLES, *OPTIONAL):
            raise ArgumentError(
                "x",
                name,
                "nobody reads this entry of a meta-batch; leave it out, or call it one of "
                f"{', '.join((*EXAMPLES, *OPTIONAL))}.",
            )
        for leaf in tf.nest.flatten(spec[name]):
            _check_leaf(name, leaf)
    for part in ("support", "query"):
        names = [name for name in spec if name.startswith(part)]
        _check_sizes(names, spec, 1, "examples")
    _check_sizes(list(spec), spec, 0, "tasks")


def _check_leaf(name, leaf):
    if not isinstance(leaf, tf.TensorSpec):
        raise ArgumentError(
            "x",
            name,
            f"it holds a {type(leaf).__name__}; give dense tensors, padded to one size, with "
            f"examples of {name.split('_')[0]}_weight 0 where tasks are smaller.",
        )
    axes = {"weight": 1, "family": 1}.get(name, 2)
    if leaf.shape.rank is None:
        raise ArgumentError(
            "x", name, "its shape is unknown; call set_shape on it in a map of the dataset."
        )
    if leaf.shape.rank < axes:
        raise ArgumentError(
            "x",
            name,
            f"it has the shape {tuple(leaf.shape)}; give [tasks{', examples, ...' * (axes - 1)}].",
        )


def _check_sizes(names, spec, axis, what):
    sizes: dict[int, str] = {}
    for name in names:
        for leaf in tf.nest.flatten(spec[name]):
            if leaf.shape.rank > axis and leaf.shape[axis] is not None:
                sizes.setdefault(leaf.shape[axis], name)
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise ArgumentError(
            "x", second, f"it has {other} {what}, but {first} has {one}; give as many."
        )


def with_known_shapes(dataset: tf.data.Dataset, inputs: Any) -> tf.data.Dataset:
    """The dataset, its `support_x` and `query_x` of the shapes that the model takes.

    Datasets made by `from_generator` or `py_function` may not know them.

    Args:
        dataset: of meta-batches.
        inputs: the model's inputs in the order of `tf.nest.flatten`; None where it has none of its
            own, as before it is built.
    """
    spec = dataset.element_spec
    if not inputs or not isinstance(spec, dict) or not _unknown(spec):
        return dataset

    def known(tasks):
        tasks = dict(tasks)
        for name in ("support_x", "query_x"):
            leaves = [
                tf.ensure_shape(leaf, [None, None, *own.shape[1:]])
                for leaf, own in zip(tf.nest.flatten(tasks[name]), inputs, strict=True)
            ]
            tasks[name] = tf.nest.pack_sequence_as(tasks[name], leaves)
        return tasks

    return dataset.map(known)


def is_class_number(y: Any, prediction: Any) -> bool:
    """Whether labels say which of the outputs is right.

    Args:
        y: labels [..., examples], or their spec.
        prediction: [..., examples, outputs], or its spec; with as many axes before the examples.
    """
    return bool(
        y.dtype.is_integer
        and prediction.dtype.is_floating
        and prediction.shape.rank == y.shape.rank + 1
        and (prediction.shape[-1] or 0) > 1
    )


def once_checked(tasks: Any, prediction: Any) -> Any:
    """A context in which nothing of a graph runs before the meta-batch is there, and found right.

    Class numbers have to be numbers of the network's outputs; TensorFlow has a NaN for others on a
    GPU. And Keras finds the end of a dataset of unknown length by asking for one batch too many:
    what does not depend on it, such as the count of steps or of examples, would have run by then.

    Args:
        tasks: the meta-batch.
        prediction: specs of the predictions of a task, a nest.
    """
    checks = []
    outputs = tf.nest.flatten(prediction)
    for name in ("support_y", "query_y"):
        for y, output in zip(tf.nest.flatten(tasks[name]), outputs, strict=False):
            if is_class_number(tf.TensorSpec(y.shape[1:], y.dtype), output):
                classes = output.shape[-1]
                right = tf.reduce_all((y >= 0) & (y < tf.cast(classes, y.dtype)))
                found = [_LABELS, name, tf.reduce_min(y), tf.reduce_max(y), classes]
                checks.append(tf.debugging.Assert(right, found))
    return tf.control_dependencies([*tf.nest.flatten(tasks), *checks])


_LABELS = "labels outside of the outputs:"


@contextlib.contextmanager
def labels_as_arguments() -> Iterator[None]:
    """Within the context what `once_checked` finds is raised as an `ArgumentError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{_LABELS}\W+(\w+)\W+(-?\d+)\W+?(-?\d+)\W+(\d+)", error.message)
        if found is None:
            raise
        name, *numbers = found.groups()
        try:
            check_class_numbers(name, *map(int, numbers))
        except ArgumentError as refusal:
            raise refusal from None  # TensorFlow's pages of the graph would tell nothing more
        raise


def _unknown(spec):
    return {"support_x", "query_x"} <= spec.keys() and any(
        isinstance(leaf, tf.TensorSpec) and (leaf.shape.rank is None or None in leaf.shape[2:])
        for name in ("support_x", "query_x")
        for leaf in tf.nest.flatten(spec[name])
    )
