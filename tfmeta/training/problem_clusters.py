"""Clusters of families of optimization problems."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.clustering import algorithms as clustering_of_tasks
from tfmeta.clustering.signatures import project
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError
from tfmeta.learners.optimizer_learner import OptimizerLearner
from tfmeta.problems.altered import Altered
from tfmeta.problems.base import ProblemFamily

# Of a gradient's projection; the problems whose mean gradient stands for their family, and the
# steps of theirs that it is of.
_DIMS, _PROBLEMS, _STEPS = 32, 8, 5


def cluster(
    families: Sequence[ProblemFamily],
    clustering: str,
    learner: OptimizerLearner,
    num_clusters: int | None = None,
    algorithm: str = "kmeans",
    seed: int = 0,
) -> list[int]:
    """The cluster of each family, numbered from 0; every rank calls it, and all get the same.

    Args:
        families: of problems.
        clustering: `"none"`, all are one cluster; `"type"`, those that are made by one class (the
            example of Pimpalkhute et al. 2021); `"label"`, each family for itself; `"gradient"`,
            those that move the rule alike: by the direction of their mean meta-gradient at its
            present parameters, projected at random.
        learner: whose meta-gradients count.
        num_clusters: how many; None for as many as there are types, or the silhouette suggests.
        algorithm: for gradients, see `clusters.fit`.
        seed: of the projection and the clusters.

    Raises:
        ArgumentError: the clustering has no meaning for such problems, or there are not that many
            clusters.
    """
    if clustering == "none":
        return [0] * len(families)
    if clustering == "gradient":
        if num_clusters is not None and num_clusters > len(families):
            raise ArgumentError(
                "num_clusters",
                num_clusters,
                f"there are {len(families)} families to make them of; give no more than that.",
            )
        mine = share(len(families), distributed.rank(), distributed.size())
        signatures = [_direction(families[number], learner, seed) for number in mine]
        array = np.array(signatures).reshape([len(mine), _DIMS])
        fitted = clustering_of_tasks.fit(array, num_clusters, algorithm, seed)
        return fitted.labels.tolist()
    if clustering not in ("type", "label"):
        raise ArgumentError(
            "clustering",
            clustering,
            "problems of different shapes have no weights in common; give type, gradient or label.",
        )
    names = [_type(family) if clustering == "type" else family.name for family in families]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if num_clusters not in (None, len(numbers)):
        raise ArgumentError(
            "num_clusters",
            num_clusters,
            f"the problems have {len(numbers)} {clustering}s; leave it out.",
        )
    return [numbers[name] for name in names]


def _type(family):
    """The class that makes the problems, whatever is done to their gradients."""
    while isinstance(family, Altered):
        family = family.problems
    return type(family).__name__


def _direction(family, learner, seed):
    @tf.function(autograph=False)
    def signature():
        tasks = family.batch(0, 0, _PROBLEMS)
        carried = learner.start(family, tasks)
        gradients, _ = learner.own_gradient(family, tasks, carried, tf.constant(0), _STEPS)
        flat = tf.concat([tf.reshape(gradient, [1, -1]) for gradient in gradients], axis=1)
        return project(tf.cast(flat, tf.float64), _DIMS, seed)[0]

    vector = signature.get_concrete_function()().numpy()
    length = np.linalg.norm(vector)
    return vector / length if length else vector
