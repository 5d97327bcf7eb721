"""One inner step, the same for every learner: along a gradient, or by least squares."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfmeta import engine
from tfmeta.linearised import linearise
from tfmeta.updates import GaussNewton, UpdateRule


class InnerStep(NamedTuple):
    """What one inner step gives.

    Attributes:
        loss: before the step, a scalar.
        others: what else the loss function returned.
        weights: after the step.
        rule_state: after the step.
    """

    loss: tf.Tensor
    others: Any
    weights: list[tf.Tensor]
    rule_state: Any


def inner_step(
    loss_function: Callable[[list[tf.Tensor]], tuple[tf.Tensor, Any]],
    rule: UpdateRule,
    parameters: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    rule_state: Any,
    first_order: bool,
) -> InnerStep:
    """Moves the weights of one task along the gradient of its loss, as the rule says.

    Args:
        loss_function: of the weights, to the loss and whatever else it computes on the way.
        rule: says how to move.
        parameters: the rule's.
        weights: of the task.
        rule_state: the rule's memory of the task.
        first_order: let no derivative through the gradient.
    """
    weights = list(weights)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        loss, others = loss_function(weights)
    gradients = engine.gradients_of(tape, loss, weights)
    if first_order:
        gradients = [tf.stop_gradient(gradient) for gradient in gradients]
    return InnerStep(loss, others, *rule.update(parameters, weights, gradients, rule_state))


def least_squares_step(
    predict: Callable[[list[tf.Tensor]], tuple[tf.Tensor, Any]],
    targets: tf.Tensor,
    rule: GaussNewton,
    parameters: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    rule_state: Any,
    first_order: bool,
) -> InnerStep:
    """Moves the weights of one task to where its linearised network explains the targets best.

    Args:
        predict: of the weights, to the predictions and whatever else it computes on the way.
        targets: what should be predicted.
        rule, parameters, weights, rule_state: as of `inner_step`.
        first_order: let no derivative through the linearised network.
    """
    linearised, others = linearise(predict, targets, weights)
    if first_order:
        linearised = tf.nest.map_structure(tf.stop_gradient, linearised)
    loss = tf.reduce_mean(tf.square(linearised.residuals))
    return InnerStep(loss, others, *rule.update(parameters, weights, linearised, rule_state))
