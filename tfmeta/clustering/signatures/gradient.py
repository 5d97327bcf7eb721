"""Signature: the gradient of the support loss."""

import tensorflow as tf

from tfmeta.clustering.signatures.base import MovementSignature
from tfmeta.engine import gradients_of


class Gradient(MovementSignature):
    """How the gradient of the support loss is divided among the weights."""

    def movement(self, learner, functional, meta, task):
        objective = learner.objective(functional, task)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(meta.weights)
            loss, _ = objective.loss(meta.weights)
        return gradients_of(tape, loss, meta.weights)
