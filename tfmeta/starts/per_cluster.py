"""A start for each cluster of tasks."""

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.clustering.signatures.adapted_weights import AdaptedWeights
from tfmeta.clustering.signatures.base import seen
from tfmeta.engine import count_of
from tfmeta.starts.clustered import SharedAcrossClusters


@keras.saving.register_keras_serializable("tfmeta")
class PerCluster(SharedAcrossClusters):
    """Each cluster of tasks has an initialization, and rule parameters, of its own.

    A task is routed by its support set alone, and trains the initialization of its cluster; routed
    softly, it begins with the mixture of all, weighted by its memberships. When clusters are first
    formed, each begins with the mean of the weights that the inner steps give to its tasks of the
    pool (TSA-MAML, Zhou et al. 2021); routed by fit or evidence, each then trains on the tasks that
    suit it best, by hard expectation maximization (for MAML, the soft one: Jerfel et al. 2019).

    All tasks of a meta-batch are run in one graph, whatever their clusters. Statistics that layers
    keep belong to all clusters.

    Args:
        **kwargs: of `SharedAcrossClusters`.

    Attributes:
        starts: the variables [clusters, ...], one for each variable that a learner without
            clusters learns.

    Raises:
        ArgumentError: what `SharedAcrossClusters` raises.
    """

    own_initializations = True

    def make_initializations(self, shared, clusters):
        self.starts = []
        for number, variable in enumerate(shared):
            shape = [clusters, *variable.shape]
            start = self.add_weight(
                name=f"start{number:03d}",
                shape=shape,
                dtype=variable.dtype,
                initializer="zeros",
                trainable=True,
            )
            start.assign(np.broadcast_to(variable, shape))
            self.starts.append(start)

    def meta_parameters(self, shared):
        return list(self.starts)

    def of(self, learned, task):
        return [tf.tensordot(task["membership"], tensor, 1) for tensor in learned]

    def reference_of(self, shared):
        """Signatures are taken where all tasks began before there were clusters."""
        return [tf.convert_to_tensor(variable.value) for variable in shared]

    def take_reference(self, shared):
        present = self.clusters.numbers
        if len(present) == 1:
            for variable, start in zip(shared, self.starts, strict=True):
                variable.assign(start[present[0]])

    def place(self, learner, pool, labels, born, first):
        for child, parent in born:
            self._copy(learner, parent, child)
        if first and len(self.clusters.numbers) > 1:
            self._begin_at_centroids(learner, pool, labels)

    def _copy(self, learner, parent, child):
        """Gives a cluster the initialization of another, with what the optimizer keeps of it."""
        variables = list(self.starts)
        if learner.optimizer is not None and learner.optimizer.built:
            # What the optimizer keeps of a start, such as its moments, has the start's shape.
            shapes = {tuple(start.shape) for start in self.starts}
            variables += [v for v in learner.optimizer.variables if tuple(v.shape) in shapes]
        for variable in variables:
            values = variable.numpy()
            values[child] = values[parent]
            variable.assign(values)

    def _begin_at_centroids(self, learner, pool, labels):
        """Adds to each start how the weights of its tasks move in the inner steps, on average."""
        clusters = self.clusters.present.shape[0]
        movement = AdaptedWeights(self.signature_dims, self.cluster_seed).movement

        @tf.function(autograph=False, reduce_retracing=True)
        def total(tasks, labels):
            functional = learner.functional()
            meta = learner.split(self.reference_of(learner.shared_variables()))
            moved = learner.for_each(
                lambda task: movement(learner, functional, meta, task), seen(tasks)
            )
            mine = tf.one_hot(labels, clusters, axis=0, dtype=moved[0].dtype)
            return [tf.tensordot(mine, tensor, 1) for tensor in moved]

        # The rule's parameters, which come last, do not move in the inner steps.
        totals, done = [tf.zeros_like(start) for start in self.starts], 0
        for tasks in pool:
            count = int(count_of(tasks))
            for number, added in enumerate(total(tasks, tf.constant(labels[done : done + count]))):
                totals[number] += added
            done += count
        sizes = tf.constant(np.bincount(labels, minlength=clusters).astype(totals[0].dtype.name))
        *totals, sizes = distributed.sum_over_ranks([*totals, sizes])
        for start, moved in zip(self.starts, totals, strict=True):
            ones = [1] * (len(moved.shape) - 1)
            start.assign_add(tf.math.divide_no_nan(moved, tf.reshape(sizes, [-1, *ones])))
