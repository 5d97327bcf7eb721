"""One start for all tasks, whose clusters count alike."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed
from tfmeta.checks import check_choice, check_count
from tfmeta.clustering import algorithms
from tfmeta.clustering.signatures.base import seen
from tfmeta.clustering.signatures.custom import Custom
from tfmeta.clustering.state import KeptClusters
from tfmeta.engine import Tasks, count_of
from tfmeta.errors import ArgumentError
from tfmeta.registry import ALGORITHMS, ROUTINGS, SIGNATURES
from tfmeta.starts.base import Start

# Numbers in a signature by gradient or by weights.
_DIMS = 256
AVERAGES = ("clusters", "tasks")


@keras.saving.register_keras_serializable("tfmeta")
class SharedAcrossClusters(Start):
    """All tasks begin alike; clusters of tasks matter for the mean over tasks alone.

    Until `form_clusters` has been given a pool of tasks there is one cluster, so that the first
    outer steps pretrain for all.

    Args:
        clustering: the signature by which tasks are clustered. `"gradient"`: how the gradient of
            the support loss, where clusters were last formed, is divided among the weights.
            `"adapted_weights"`: likewise how the weights move in `test_inner_steps` inner steps.
            `"label"`: the number in the task's entry `family`. Or a function of the support sets (a
            dictionary of NumPy arrays with a leading task axis) to an array
            [tasks, signature_dims]; registered with Keras, it is saved too.
        num_clusters: the number of clusters; None for what the silhouette of the pool suggests.
        cluster_algorithm: see `clustering.algorithms.fit`.
        routing: see `clustering.routing`.
        average_over: `"clusters"`, each of which in a meta-batch counts once (Pimpalkhute et al.
            2021); or `"tasks"`, each of which counts once.
        signature_dims: numbers in a signature.
        cluster_seed: of the projection and of the algorithm.

    Raises:
        ArgumentError: an unknown name, a number out of range, or a routing that compares the
            initializations of clusters, which have none of their own here.
    """

    own_initializations = False

    def __init__(
        self,
        clustering: str | Callable[[Any], Any] = "gradient",
        num_clusters: int | None = None,
        cluster_algorithm: str = "kmeans",
        routing: str = "hard",
        average_over: str = "clusters",
        signature_dims: int = _DIMS,
        cluster_seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not callable(clustering):
            SIGNATURES.check("clustering", clustering)
        ALGORITHMS.check("cluster_algorithm", cluster_algorithm)
        ROUTINGS.check("routing", routing)
        check_choice("average_over", average_over, AVERAGES)
        if num_clusters is not None:
            check_count("num_clusters", num_clusters)
        check_count("signature_dims", signature_dims)
        if ROUTINGS[routing].compares_starts and not self.own_initializations:
            raise ArgumentError(
                "routing", routing, "one start for all fits alike; give cluster_start=own."
            )
        self.clustering = clustering
        self.num_clusters = num_clusters
        self.cluster_algorithm = cluster_algorithm
        self.routing = routing
        self.average_over = average_over
        self.signature_dims = signature_dims
        self.cluster_seed = cluster_seed
        if callable(clustering):
            self._signature = Custom(clustering, signature_dims, cluster_seed)
        else:
            self._signature = SIGNATURES[clustering](signature_dims, cluster_seed)

    def check(self, rule):
        if ROUTINGS[self.routing].needs_evidence and not rule.gives_evidence:
            raise ArgumentError(
                "routing",
                self.routing,
                "only the update rule GaussNewton gives evidence; take it.",
            )

    def make_variables(self, shared):
        count = self.num_clusters or algorithms.MOST
        self.clusters = KeptClusters(count, self._signature.dims, shared[0].dtype)
        self.make_initializations(shared, count)
        super().make_variables(shared)

    def make_initializations(self, shared, clusters: int) -> None:
        """Makes the variables of where tasks begin, and of where signatures are taken."""
        self.reference = [
            self.add_weight(
                name=f"reference{number:03d}",
                shape=variable.shape,
                dtype=variable.dtype,
                initializer="zeros",
                trainable=False,
            )
            for number, variable in enumerate(shared)
        ]

    def meta_parameters(self, shared):
        return list(shared)

    def of(self, learned, task):
        return list(learned)

    def prepare(self, learner, tasks, training=False):
        membership = self.memberships(learner, tasks)
        tasks = {**tasks, "membership": membership}
        if not training or self.average_over == "tasks":
            return tasks
        (sizes,) = distributed.sum_over_ranks([tf.reduce_sum(membership, axis=0)])
        # A task's share of its cluster; all shares of a cluster add up to 1. With soft routing, of
        # less than one task in all there is less than a cluster.
        shares = membership / tf.maximum(sizes, tf.ones_like(sizes))
        return {**tasks, "weight": tf.reduce_sum(shares, axis=1)}

    def memberships(self, learner: Any, tasks: Tasks) -> tf.Tensor:
        """How much each task belongs to each cluster.

        Args:
            learner: whose start this is.
            tasks: with a leading task axis; nothing but their support sets is looked at.

        Returns:
            [tasks, clusters], 1 in all for each task.
        """
        count = count_of(tasks)
        present = tf.convert_to_tensor(self.clusters.present.value)

        def of_one():
            return tf.tile(tf.cast(present, learner.learned()[0].dtype)[None], [count, 1])

        def of_several():
            return ROUTINGS[self.routing].memberships(self, learner, tasks)

        alone = tf.reduce_sum(tf.cast(present, tf.int32)) == 1
        return tf.stop_gradient(tf.cond(alone, of_one, of_several))

    def signatures(self, learner: Any, tasks: Tasks) -> tf.Tensor:
        """The signatures of tasks, [tasks, dims] in the dtype of the weights."""
        meta = learner.split(self.reference_of(learner.shared_variables()))
        return self._signature(learner, meta, seen(tasks))

    def reference_of(self, shared) -> list[tf.Tensor]:
        """Where signatures are taken: what all tasks began with when clusters were last formed."""
        return [tf.convert_to_tensor(variable.value) for variable in self.reference]

    def take_reference(self, shared) -> None:
        """Takes signatures from where tasks begin now."""
        for variable, value in zip(self.reference, shared, strict=True):
            variable.assign(value)

    def form_clusters(self, learner: Any, pool: Iterable[Tasks]) -> tuple[np.ndarray, np.ndarray]:
        """Forms the clusters anew; every rank calls it with its share of the pool.

        Clusters that were there before keep their numbers, and so their initializations, as far as
        the tasks of the pool stay together.

        Args:
            learner: whose start this is, compiled.
            pool: batches of tasks, gone through twice.

        Returns:
            The signatures of the pool, [tasks, dims], and the cluster of each, [tasks]; of all
            ranks, the same on every one.

        Raises:
            ArgumentError: more clusters than tasks, or a signature that cannot be used.
        """
        self.take_reference(learner.shared_variables())
        # A user's function runs outside graphs here, so that what it raises arrives as it is.
        signatures_of = self.signatures
        if self._signature.in_graph:
            signatures_of = tf.function(self.signatures, autograph=False, reduce_retracing=True)
        mine = np.concatenate([signatures_of(learner, tasks).numpy() for tasks in pool])
        first = len(self.clusters.numbers) == 1
        of_all, labels, born = self.clusters.fit(
            mine, self.num_clusters, self.cluster_algorithm, self.cluster_seed
        )
        before_mine = sum(distributed.gather_objects(len(mine))[: distributed.rank()])
        self.place(learner, pool, labels[before_mine : before_mine + len(mine)], born, first)
        return of_all, labels

    def place(self, learner: Any, pool: Any, labels: np.ndarray, born: Any, first: bool) -> None:
        """Gives new clusters where their tasks begin; here all begin alike.

        Args:
            learner: whose start this is.
            pool: batches of this rank's tasks.
            labels: their clusters, [tasks].
            born: the numbers of each new cluster and of the one that it came from.
            first: whether there was one cluster before.
        """

    def get_config(self):
        return {
            **super().get_config(),
            # A name is as it is.
            "clustering": keras.saving.serialize_keras_object(self.clustering),
            "num_clusters": self.num_clusters,
            "cluster_algorithm": self.cluster_algorithm,
            "routing": self.routing,
            "average_over": self.average_over,
            "signature_dims": self.signature_dims,
            "cluster_seed": self.cluster_seed,
        }

    @classmethod
    def from_config(cls, config):
        clustering = keras.saving.deserialize_keras_object(config["clustering"])
        return cls(**{**config, "clustering": clustering})
