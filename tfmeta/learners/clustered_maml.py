"""MAML on clusters of tasks: one initialization for each, or one that serves all alike."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.clustering import algorithms as clusters
from tfmeta.clustering import signatures
from tfmeta.clustering.state import KeptClusters
from tfmeta.errors import ArgumentError
from tfmeta.learners.maml import MAML
from tfmeta.updates import GaussNewton

# Numbers in a signature by gradient or by weights.
_DIMS = 256


@keras.saving.register_keras_serializable("tfmeta")
class ClusteredMAML(MAML):
    """MAML whose tasks form clusters, by signatures of their support sets.

    It is trained as `MAML` is, and is one until `fit_clusters` has been given a pool of tasks: so
    the first steps pretrain a start for all. From then on a task belongs to the cluster
    nearest to its signature, and

    - with `cluster_start="own"` each cluster has an initialization, and parameters of the update
      rule, of its own. When clusters are first formed, each begins with the mean of the weights
      that the inner steps give to its tasks of the pool (TSA-MAML, Zhou et al. 2021); from there it
      is trained on the tasks that are routed to it;
    - with `cluster_start="shared"` all tasks go on sharing one, and clusters matter only for the
      mean over tasks.

    A new task is routed by its support set alone. All tasks of a meta-batch are run in one graph,
    whatever their clusters. Statistics that layers keep belong to all clusters.

    Args:
        model: see `MAML`.
        clustering: the signature. `"gradient"`: how the gradient of the support loss at the
            pretrained (or, when shared, present) weights is divided among them, see
            `signatures.shares`, projected at random. `"adapted_weights"`: likewise how the weights
            move in `test_inner_steps` inner steps from there. `"label"`: the number in the
            task's entry `family`. Or a function of the support sets (a dictionary of NumPy arrays
            with a leading task axis) to an array [tasks, signature_dims]; registered with Keras,
            it is saved too.
        num_clusters: how many; None for the number that the silhouette of the pool suggests.
        cluster_algorithm: see `clusters.fit`.
        cluster_start: `"own"` or `"shared"`.
        routing: `"hard"`, to the nearest cluster; `"soft"`: a task starts from a mixture of the
            initializations, weighted by the probability of each cluster, see `Clusters`;
            `"fit"`, to the cluster from whose initialization the inner steps fit the support set
            best; or, with the update rule `GaussNewton`, `"evidence"`: to the cluster which the
            support set surprises least before any step. Signatures then say only how clusters
            begin: each trains on the tasks that suit it best, by hard expectation maximization
            (for MAML, the soft one: Jerfel et al. 2019).
        average_over: `"clusters"`, each of which in a meta-batch counts once (Pimpalkhute et al.
            2021); or `"tasks"`, each of which counts once.
        signature_dims: numbers in a signature.
        cluster_seed: of the projection and of the algorithm.
        **kwargs: of `MAML`.

    Raises:
        ArgumentError: an unknown name, a number out of range, and what `MAML` raises.
    """

    def __init__(
        self,
        model: keras.Model,
        clustering: str | Callable[[Any], Any] = "gradient",
        num_clusters: int | None = None,
        cluster_algorithm: str = "kmeans",
        cluster_start: str = "own",
        routing: str = "hard",
        average_over: str = "clusters",
        signature_dims: int = _DIMS,
        cluster_seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(model, **kwargs)
        for argument, value, known in (
            ("clustering", clustering, signatures.NAMES),
            ("cluster_algorithm", cluster_algorithm, clusters.ALGORITHMS),
            ("cluster_start", cluster_start, ("own", "shared")),
            ("routing", routing, ("hard", "soft", "fit", "evidence")),
            ("average_over", average_over, ("clusters", "tasks")),
        ):
            if value not in known and not (argument == "clustering" and callable(value)):
                raise ArgumentError(argument, value, f"give one of {', '.join(known)}.")
        for argument, count in (("num_clusters", num_clusters), ("signature_dims", signature_dims)):
            if count is not None and (type(count) is not int or count < 1):
                raise ArgumentError(argument, count, "give a whole number of at least 1.")
        if routing in ("fit", "evidence") and cluster_start == "shared":
            raise ArgumentError(
                "routing", routing, "one start for all fits alike; give cluster_start=own."
            )
        if routing == "evidence" and not isinstance(self.update_rule, GaussNewton):
            raise ArgumentError(
                "routing", routing, "only the update rule GaussNewton gives evidence; take it."
            )
        self.clustering = clustering
        self.num_clusters = num_clusters
        self.cluster_algorithm = cluster_algorithm
        self.cluster_start = cluster_start
        self.routing = routing
        self.average_over = average_over
        self.signature_dims = 1 if clustering == "label" else signature_dims
        self.cluster_seed = cluster_seed
        if model.built:
            self._build_clusters()

    # Clusters.

    def fit_clusters(self, pool: Iterable[engine.Tasks]) -> tuple[np.ndarray, np.ndarray]:
        """Forms the clusters anew; every rank calls it with its share of the pool.

        Clusters that were there before keep their numbers, and so their initializations, as far as
        the tasks of the pool stay together.

        Args:
            pool: batches of tasks, gone through twice.

        Returns:
            The signatures of the pool, [tasks, signature_dims], and the cluster of each, [tasks];
            of all ranks, the same on every one.

        Raises:
            ArgumentError: more clusters than tasks, or a signature that cannot be used.
        """
        self._take_reference()
        # A user's function runs outside graphs here, so that what it raises arrives as it is.
        signatures_of = self.signatures
        if not callable(self.clustering):
            signatures_of = tf.function(self.signatures, autograph=False, reduce_retracing=True)
        mine = np.concatenate([signatures_of(tasks).numpy() for tasks in pool])
        first = len(self.clusters.numbers) == 1
        of_all, labels, born = self.clusters.fit(
            mine, self.num_clusters, self.cluster_algorithm, self.cluster_seed
        )
        if self.cluster_start == "own":
            for child, parent in born:
                self._copy_start(parent, child)
            if first and len(self.clusters.numbers) > 1:
                before_mine = sum(distributed.gather_objects(len(mine))[: distributed.rank()])
                self._begin_at_centroids(pool, labels[before_mine : before_mine + len(mine)])
        return of_all, labels

    def signatures(self, tasks: engine.Tasks) -> tf.Tensor:
        """The signatures of tasks, [tasks, signature_dims] in the dtype of the weights."""
        tasks = signatures.seen(tasks)
        dtype = self._dtype()
        if callable(self.clustering):
            return tf.cast(signatures.of_user(self.clustering, tasks, self.signature_dims), dtype)
        if self.clustering == "label":
            return tf.cast(signatures.label(tasks), dtype)
        function = self._gradient if self.clustering == "gradient" else self._adapted
        reference, functional = self._parted(self._reference()), self._functional()

        def flat(task):
            vectors = function(functional, reference, task)
            return tf.concat([tf.reshape(vector, [-1]) for vector in vectors], axis=0)

        vectors = engine.for_each(flat, tasks, self.stacked, self.tasks_in_flight)
        return signatures.project(
            signatures.shares(vectors), self.signature_dims, self.cluster_seed
        )

    def _gradient(self, functional, reference, task):
        weights, _ = reference
        state = self._task_state(functional, functional.state(), task)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss, *_ = functional.loss_on(
                weights, state, task["support_x"], task["support_y"], training=True
            )
        return engine.gradients_of(tape, loss, weights)

    def _adapted(self, functional, reference, task):
        *_, (adapted, _) = super().inner_loop(
            functional, functional.state(), reference, task, self.test_inner_steps
        )
        weights, _ = reference
        return [new - old for new, old in zip(adapted, weights, strict=True)]

    def memberships(self, tasks: engine.Tasks) -> tf.Tensor:
        """How much each task belongs to each cluster, [tasks, clusters]; 1 in all for each."""
        count = engine.count_of(tasks)
        present = tf.convert_to_tensor(self.clusters.present.value)

        def of_one():
            return tf.tile(tf.cast(present, self._dtype())[None], [count, 1])

        def best(numbers):
            return tf.one_hot(tf.argmin(numbers, axis=1), present.shape[0], dtype=numbers.dtype)

        def of_several():
            if self.routing in ("fit", "evidence"):
                misfits = self._misfits(tasks)
                return best(tf.where(present & tf.math.is_finite(misfits), misfits, np.inf))
            distances = self.clusters.distances(self.signatures(tasks))
            return tf.nn.softmax(-distances / 2) if self.routing == "soft" else best(distances)

        alone = tf.reduce_sum(tf.cast(present, tf.int32)) == 1
        return tf.stop_gradient(tf.cond(alone, of_one, of_several))

    def _misfits(self, tasks):
        """How ill each start suits each support set, [tasks, clusters]."""
        functional, learned = self._functional(), self._parted(self._learned())
        count, most = engine.count_of(tasks), self.clusters.present.shape[0]
        pairs = {n: tf.repeat(t, most, axis=0) for n, t in signatures.seen(tasks).items()}
        pairs["membership"] = tf.tile(tf.eye(most, dtype=self._dtype()), [count, 1])

        def loss(pair):
            *_, (adapted, state) = self.inner_loop(
                functional, functional.state(), learned, pair, self.inner_steps
            )
            return functional.loss_on(
                adapted, state, pair["support_x"], pair["support_y"], training=True
            )[0]

        def surprise(pair):
            return self.surprise(functional, functional.state(), learned, pair, ("support",))

        misfit = loss if self.routing == "fit" else surprise
        misfits = engine.for_each(misfit, pairs, self.stacked, self.tasks_in_flight)
        return tf.reshape(misfits, [count, most])

    def _routed(self, tasks):
        """The tasks with their memberships, and with weights if clusters are averaged over."""
        if "membership" in tasks:
            return tasks
        membership = self.memberships(tasks)
        tasks = {**tasks, "membership": membership}
        if self.average_over == "tasks":
            return tasks
        (sizes,) = distributed.add([tf.reduce_sum(membership, axis=0)], name="cluster_sizes")
        # A task's share of its cluster; all shares of a cluster add up to 1. With soft routing, of
        # less than one task in all there is less than a cluster.
        shares = membership / tf.maximum(sizes, tf.ones_like(sizes))
        return {**tasks, "weight": tf.reduce_sum(shares, axis=1)}

    # The algorithm, as MAML has it.

    def inner_loop(self, functional, state, learned, task, steps):
        learned = self._start_of(learned, task)
        yield from super().inner_loop(functional, state, learned, task, steps)

    def surprise(self, functional, state, learned, task, parts):
        learned = self._start_of(learned, task)
        return super().surprise(functional, state, learned, task, parts)

    def _start_of(self, learned, task):
        """What one task begins with: of all that is learned, the part of its clusters."""
        if self.cluster_start == "shared":
            return learned
        if "membership" not in task:
            alone = {name: task[name][None] for name in signatures.seen(task)}
            task = {**task, "membership": self.memberships(alone)[0]}
        weights, parameters = learned
        return [
            [tf.tensordot(task["membership"], tensor, 1) for tensor in tensors]
            for tensors in (weights, parameters)
        ]

    def meta_loss(self, tasks):
        return super().meta_loss(self._routed(tasks))

    def train_step(self, tasks):
        return super().train_step(self._routed(tasks))

    def adapted_predictions(self, tasks, steps):
        tasks = {**tasks, "membership": self.memberships(tasks)}
        return super().adapted_predictions(tasks, steps)

    # What Keras asks of a model.

    @property
    def trainable_variables(self):
        return super().trainable_variables if self.cluster_start == "shared" else self.starts

    def build(self, input_shape=None):
        super().build(input_shape)
        self._build_clusters()

    def get_config(self):
        function = self.clustering
        return {
            **super().get_config(),
            "clustering": keras.saving.serialize_keras_object(function)
            if callable(function)
            else function,
            "num_clusters": self.num_clusters,
            "cluster_algorithm": self.cluster_algorithm,
            "cluster_start": self.cluster_start,
            "routing": self.routing,
            "average_over": self.average_over,
            "signature_dims": self.signature_dims,
            "cluster_seed": self.cluster_seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config["clustering"], dict):
            config["clustering"] = keras.saving.deserialize_keras_object(
                config["clustering"], custom_objects=custom_objects
            )
        return super().from_config(config, custom_objects)

    def _build_clusters(self) -> None:
        if hasattr(self, "clusters"):
            return
        count = self.num_clusters or clusters.MOST
        self.clusters = KeptClusters(count, self.signature_dims, self._dtype().name)

        def variable(name, shape, dtype, trainable=False):
            return self.add_weight(
                name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=trainable
            )

        own = self.cluster_start == "own"
        self.starts, self.reference = [], []
        for number, weight in enumerate(self._pretrained()):
            if own:
                shape = [count, *weight.shape]
                start = variable(f"start{number:03d}", shape, weight.dtype, trainable=True)
                start.assign(np.broadcast_to(weight, shape))
                self.starts.append(start)
            else:
                self.reference.append(
                    variable(f"reference{number:03d}", weight.shape, weight.dtype)
                )

    def _dtype(self) -> tf.DType:
        return tf.as_dtype(self.model.trainable_variables[0].dtype)

    def _pretrained(self) -> list[keras.Variable]:
        """What all tasks begin with until there are clusters: weights and the rule's parameters."""
        return [*self.model.trainable_variables, *self.update_rule.trainable_variables]

    def _reference(self) -> list[tf.Tensor]:
        """Where signatures are taken: what was pretrained, or what all shared when clusters were
        last formed."""
        variables = self.reference if self.cluster_start == "shared" else self._pretrained()
        return [tf.convert_to_tensor(variable.value) for variable in variables]

    def _take_reference(self) -> None:
        present = self.clusters.numbers
        if self.cluster_start == "shared":
            pairs = zip(self.reference, self._pretrained(), strict=True)
        elif len(present) == 1:
            first = present[0]
            starts = [start[first] for start in self.starts]
            pairs = zip(self._pretrained(), starts, strict=True)
        else:
            return
        for variable, value in pairs:
            variable.assign(value)

    def _begin_at_centroids(self, pool, labels):
        """Adds to each start how the weights of its tasks move in the inner steps, on average."""
        most = self.clusters.present.shape[0]

        @tf.function(autograph=False, reduce_retracing=True)
        def total(tasks, labels):
            reference, functional = self._parted(self._reference()), self._functional()
            moved = engine.for_each(
                lambda task: self._adapted(functional, reference, task),
                signatures.seen(tasks),
                self.stacked,
                self.tasks_in_flight,
            )
            mine = tf.one_hot(labels, most, axis=0, dtype=self._dtype())
            return [tf.tensordot(mine, tensor, 1) for tensor in moved]

        totals, done = [tf.zeros_like(start) for start in self.starts], 0
        for tasks in pool:
            count = int(engine.count_of(tasks))
            # The rule's parameters, which come last, do not move in the inner steps.
            for number, added in enumerate(total(tasks, tf.constant(labels[done : done + count]))):
                totals[number] += added
            done += count
        sizes = np.bincount(labels, minlength=most).astype(self._dtype().name)
        *totals, sizes = distributed.add([*totals, tf.constant(sizes)])
        for start, moved in zip(self.starts, totals, strict=True):
            start.assign_add(tf.math.divide_no_nan(moved, _beside(sizes, moved)))

    def _copy_start(self, parent: int, child: int) -> None:
        """Gives a cluster the initialization of another, with what the optimizer keeps of it."""
        variables = list(self.starts)
        if self.optimizer is not None and self.optimizer.built:
            # An optimizer names what it keeps of a variable after the variable's path.
            marks = [start.path.replace("/", "_") for start in self.starts]
            variables += [
                v for v in self.optimizer.variables if any(mark in v.path for mark in marks)
            ]
        for variable in variables:
            values = variable.numpy()
            values[child] = values[parent]
            variable.assign(values)


def _beside(numbers, tensor):
    """Numbers, one for each row of a tensor, in a shape that broadcasts with it."""
    return tf.reshape(numbers, [-1, *[1] * (len(tensor.shape) - 1)])
