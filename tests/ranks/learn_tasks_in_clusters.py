"""Learns from this rank's share of 7 tasks in unequal clusters, and of a pool to form them from.

    learn_tasks_in_clusters.py FILE

leaves in FILE, an .npz, what every rank has: each array with a leading rank axis.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import tfmeta
from tfmeta import distributed, starts


def cast(tasks):
    return {n: tf.cast(t, tf.float64) if t.dtype.is_floating else t for n, t in tasks.items()}


def batches(step, tasks):
    rank, ranks = distributed.rank(), distributed.size()
    return tfmeta.SixFamilies(5, 5).batches(tasks, step, 1, rank, ranks).map(cast)


LEARNERS = {
    "own": lambda: (starts.PerCluster("gradient", 4), {"inner_learning_rate": 0.01}),
    "shared": lambda: (starts.SharedAcrossClusters("label", 4), {"inner_learning_rate": 0.01}),
    "evidence": lambda: (
        starts.PerCluster("adapted_weights", 4, routing="evidence"),
        {"update_rule": tfmeta.updates.GaussNewton(0.1, 1)},
    ),
}


def main(path):
    tfmeta.init()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    results = {}
    for name, make in LEARNERS.items():
        start, arguments = make()
        model = tfmeta.models.mlp((2,), 1, (8,), seed=distributed.rank())
        learner = tfmeta.MAML(model, start=start, vectorized=True, **arguments)
        learner.compile(keras.optimizers.SGD(1.0), loss="mse")
        distributed.broadcast(learner.variables)
        start.form_clusters(learner, batches(100, 30))
        before = flat(learner.trainable_variables)
        learner.fit(batches(0, 7), verbose=0)
        results[f"{name} gradient"] = before - flat(learner.trainable_variables)
        results[f"{name} clusters"] = flat([start.clusters.centroids, start.clusters.offsets])
    of_all = {n: np.stack(distributed.gather_objects(value)) for n, value in results.items()}
    if distributed.is_main():
        np.savez(path, **of_all)


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


if __name__ == "__main__":
    main(sys.argv[1])
