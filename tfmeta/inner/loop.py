"""The inner loop: the steps by which one task is learned, for every learner."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmeta import engine
from tfmeta.updates.base import UpdateRule
from tfmeta.updates.objective import Objective, Weights


class Inner(NamedTuple):
    """Where the training of one task stands.

    Attributes:
        weights: that the rule moves.
        rule_state: the memory of the update rule.
        aux: what the objective of the last step computed besides its loss, such as the state of a
            Keras model; before the first step, what the objective starts from.
    """

    weights: Weights
    rule_state: Any
    aux: Any = ()


def trajectory(
    rule: UpdateRule,
    parameters: Sequence[tf.Tensor],
    objective_at: Callable[[int, Any], Objective],
    inner: Inner,
    steps: int,
    *,
    first_order: bool = False,
) -> Iterator[Inner]:
    """theta_i+1 = step(theta_i), for i < steps: the inner loop of one task, within a graph.

    Args:
        rule: the update rule.
        parameters: tensors in the place of the rule's variables.
        objective_at: maps the number of a step and the `aux` of the step before to the objective.
        inner: where the task starts.
        steps: the number of steps.
        first_order: let no derivative through what the steps are computed from.

    Yields:
        Where the task stands before the first step and after each.
    """
    yield inner
    for number in range(steps):
        step = rule.step(
            parameters,
            objective_at(number, inner.aux),
            inner.weights,
            inner.rule_state,
            first_order=first_order,
        )
        inner = Inner(step.weights, step.state, step.aux)
        yield inner


def repeat(
    body: Callable[..., tuple],
    parameters: Any,
    carried: tuple,
    steps: tf.Tensor | int,
    *,
    in_graph: bool = False,
    recompute: bool = False,
) -> tuple:
    """Steps of many tasks at once, one after the other: as a loop, or built into the graph.

    Args:
        body: maps `(parameters, number of the step, *carried)` to what is carried on, a tuple.
        parameters: a nest of tensors that all steps share.
        carried: a tuple of nests of tensors, before the first step.
        steps: the number of steps; a tensor where it differs from call to call.
        in_graph: build the steps into the graph one after the other, if their number is fixed.
        recompute: let a loop keep nothing of a step for its derivative but what is carried, and
            compute the rest once more (see `engine.recomputed`). XLA needs it, and the derivative
            then reaches what is in `parameters` and `carried` alone.

    Returns:
        What is carried after the last step.
    """
    if in_graph and isinstance(steps, int):
        for number in range(steps):
            carried = body(parameters, number, *carried)
        return carried
    if recompute:
        body = engine.recomputed(body)
    _, *carried = tf.while_loop(
        lambda number, *_: number < steps,
        lambda number, *carried: (number + 1, *body(parameters, number, *carried)),
        (0, *carried),
        # XLA has to know how much to keep for the way back.
        maximum_iterations=steps if isinstance(steps, int) else None,
    )
    return tuple(carried)
