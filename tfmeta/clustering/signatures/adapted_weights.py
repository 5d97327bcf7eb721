"""Signature: how the inner steps move the weights."""

from tfmeta.clustering.signatures.base import MovementSignature


class AdaptedWeights(MovementSignature):
    """How the movement of the weights in `test_inner_steps` inner steps is divided among them."""

    def movement(self, learner, functional, meta, task):
        *_, adapted = learner.adapt_task(functional, meta, task, learner.test_inner_steps)
        return [new - old for new, old in zip(adapted.weights, meta.weights, strict=True)]
