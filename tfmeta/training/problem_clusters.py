"""Clusters of families of optimization problems."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.clustering import algorithms
from tfmeta.clustering.signatures.projection import project
from tfmeta.errors import ArgumentError
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.problems.base import ProblemFamily
from tfmeta.registry import PROBLEM_SIGNATURES

# Of a gradient's projection; the problems whose mean gradient stands for their family, and the
# steps of theirs that it is of.
_DIMS, _PROBLEMS, _STEPS = 32, 8, 5


def by_type(family: ProblemFamily, learner: OptimizerLearner, seed: int) -> str:
    """The type of the family: what Pimpalkhute et al. 2021 cluster by in their example."""
    return family.type


def by_label(family: ProblemFamily, learner: OptimizerLearner, seed: int) -> str:
    """The name of the family: each is a cluster for itself."""
    return family.name


def by_gradient(family: ProblemFamily, learner: OptimizerLearner, seed: int) -> np.ndarray:
    """The direction in which the family moves the rule.

    That is the direction of its mean meta-gradient at the rule's present parameters, projected at
    random.

    Returns:
        float64 [32], of length 1, or 0 where nothing moves.
    """

    @tf.function(autograph=False)
    def signature():
        tasks = learner.estimator.copies(family.batch(0, 0, _PROBLEMS))
        carried = learner.start(family, tasks)
        gradients, _ = learner.meta_gradient(family, tasks, carried, tf.constant(0), _STEPS)
        flat = tf.concat([tf.reshape(gradient, [1, -1]) for gradient in gradients], axis=1)
        # What is not finite moves no rule.
        flat = tf.where(tf.math.is_finite(flat), flat, 0)
        return project(tf.cast(flat, tf.float64), _DIMS, seed)[0]

    vector = signature.get_concrete_function()().numpy()
    length = np.linalg.norm(vector)
    return vector / length if length else vector


class FamilySignature(NamedTuple):
    """What families are clustered by.

    Attributes:
        of: maps a family, the learner and a seed to its signature.
        is_vector: whether signatures are vectors [32], the nearest of which form a cluster; else
            they are names, and those of one name do.
    """

    of: Callable[[ProblemFamily, OptimizerLearner, int], str | np.ndarray]
    is_vector: bool = False


TYPE = FamilySignature(by_type)
GRADIENT = FamilySignature(by_gradient, is_vector=True)
LABEL = FamilySignature(by_label)


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
        clustering: one of `registry.PROBLEM_SIGNATURES`, or `"none"`: all are one cluster.
        learner: whose meta-gradients count.
        num_clusters: how many; None for as many as there are types, or the silhouette suggests.
        algorithm: for vectors, see `clustering.algorithms.fit`.
        seed: of the projection and the clusters.

    Raises:
        ArgumentError: the clustering has no meaning for such problems, or there are not that many
            clusters.
    """
    if clustering == "none":
        return [0] * len(families)
    if clustering not in PROBLEM_SIGNATURES:
        *names, last = PROBLEM_SIGNATURES
        raise ArgumentError(
            "clustering",
            clustering,
            "problems of different shapes have no weights in common; give "
            f"{', '.join(names)} or {last}.",
        )
    signature = PROBLEM_SIGNATURES[clustering]
    if signature.is_vector:
        return _fitted(families, signature, learner, num_clusters, algorithm, seed)
    names = [signature.of(family, learner, seed) for family in families]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if num_clusters not in (None, len(numbers)):
        raise ArgumentError(
            "num_clusters",
            num_clusters,
            f"the problems have {len(numbers)} {clustering}s; leave it out.",
        )
    return [numbers[name] for name in names]


def _fitted(families, signature, learner, num_clusters, algorithm, seed):
    """Clusters of vectors, of which each rank computes a share."""
    if num_clusters is not None and num_clusters > len(families):
        raise ArgumentError(
            "num_clusters",
            num_clusters,
            f"there are {len(families)} families to make them of; give no more than that.",
        )
    mine = distributed.share(len(families), distributed.rank(), distributed.size())
    vectors = [signature.of(families[number], learner, seed) for number in mine]
    array = np.array(vectors).reshape([len(mine), _DIMS])
    return algorithms.fit(array, num_clusters, algorithm, seed).labels.tolist()
