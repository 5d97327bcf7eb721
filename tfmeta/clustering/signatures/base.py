"""Signatures of tasks: short vectors, near for tasks that are learned alike."""

import abc
from typing import Any

import tensorflow as tf

from tfmeta.clustering.signatures.projection import project, shares
from tfmeta.inner.meta import Meta

# What a task may be known by before it is learned.
_SEEN = ("support_x", "support_y", "seed", "family")


def seen(tasks: dict[str, Any]) -> dict[str, Any]:
    """The part of tasks that a signature may depend on: not the query sets."""
    return {name: tasks[name] for name in _SEEN if name in tasks}


class Signature(abc.ABC):
    """Maps the support sets of tasks to vectors.

    Args:
        dims: numbers in a signature.
        seed: of what is drawn at random.
    """

    def __init__(self, dims: int, seed: int):
        self.dims, self.seed = dims, seed

    # Whether it can be traced into a graph; else it is called with eager tensors where it can be.
    in_graph = True

    @abc.abstractmethod
    def __call__(self, learner: Any, meta: Meta, tasks: dict[str, Any]) -> tf.Tensor:
        """The signatures of tasks.

        Args:
            learner: a `FewShotLearner`.
            meta: where all tasks begin, for signatures by how they are learned.
            tasks: support sets with a leading task axis, see `seen`.

        Returns:
            [tasks, dims].
        """


class MovementSignature(Signature):
    """A signature by how the weights of a task move: their shares of the whole, projected."""

    @abc.abstractmethod
    def movement(self, learner: Any, functional: Any, meta: Meta, task: Any) -> list[tf.Tensor]:
        """How each weight of one task moves.

        Args:
            learner: a `FewShotLearner`.
            functional: its `FunctionalModel`.
            meta: where the task begins.
            task: one support set.
        """

    def __call__(self, learner, meta, tasks):
        functional = learner.functional()

        def flat(task):
            vectors = self.movement(learner, functional, meta, task)
            return tf.concat([tf.reshape(vector, [-1]) for vector in vectors], axis=0)

        return project(shares(learner.for_each(flat, tasks)), self.dims, self.seed)
