"""Which cluster's initialization a task starts from, by its support set alone.

Each function gives the membership of tasks in clusters, [tasks, clusters], 1 in all for each task.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta.clustering.signatures.base import seen


class Routing(NamedTuple):
    """A way of routing, and what it requires.

    Attributes:
        memberships: maps a clustered start, a learner and tasks to [tasks, clusters].
        compares_starts: whether it compares the initializations of clusters, which must therefore
            have one each.
        needs_evidence: whether it needs an update rule that gives evidence.
    """

    memberships: Callable[[Any, Any, Any], tf.Tensor]
    compares_starts: bool = False
    needs_evidence: bool = False


def _best(costs: tf.Tensor) -> tf.Tensor:
    return tf.one_hot(tf.argmin(costs, axis=1), costs.shape[1], dtype=costs.dtype)


def hard(start: Any, learner: Any, tasks: Any) -> tf.Tensor:
    """To the cluster that is nearest to the task's signature."""
    return _best(start.clusters.distances(start.signatures(learner, tasks)))


def soft(start: Any, learner: Any, tasks: Any) -> tf.Tensor:
    """To all, by the probability of each cluster given the signature, see `Clusters`."""
    return tf.nn.softmax(-start.clusters.distances(start.signatures(learner, tasks)) / 2)


def fit(start: Any, learner: Any, tasks: Any) -> tf.Tensor:
    """To the cluster from whose initialization the inner steps fit the support set best."""
    functional = learner.functional()

    def support_loss(meta, task):
        *_, adapted = learner.adapt_task(functional, meta, task, learner.inner_steps)
        return learner.objective(functional, task, state=adapted.state).loss(adapted.weights)[0]

    return _best(_cost_from_each(start, learner, tasks, support_loss))


def evidence(start: Any, learner: Any, tasks: Any) -> tf.Tensor:
    """To the cluster under which the support set is most probable, before any inner step."""
    functional = learner.functional()

    def negative_log_evidence(meta, task):
        return -learner.log_evidence(functional, meta, task)

    return _best(_cost_from_each(start, learner, tasks, negative_log_evidence))


def _cost_from_each(start, learner, tasks, cost):
    """The cost of each task from each cluster's initialization, [tasks, clusters].

    It is infinite where a cluster does not exist or its cost is not finite.
    """
    learned = learner.learned()
    present = tf.convert_to_tensor(start.clusters.present.value)
    clusters = present.shape[0]
    pairs = {name: tf.repeat(tensor, clusters, axis=0) for name, tensor in seen(tasks).items()}
    count = tf.shape(pairs["support_x"])[0] // clusters
    eye = tf.eye(clusters, dtype=learned[0].dtype)
    pairs["membership"] = tf.tile(eye, [count, 1])
    costs = learner.for_each(lambda task: cost(learner.meta(learned, task), task), pairs)
    costs = tf.reshape(costs, [count, clusters])
    return tf.where(present & tf.math.is_finite(costs), costs, np.inf)


HARD = Routing(hard)
SOFT = Routing(soft)
FIT = Routing(fit, compares_starts=True)
EVIDENCE = Routing(evidence, compares_starts=True, needs_evidence=True)
