"""Learns from this rank's share of 7 tasks in unequal clusters, and of a pool to form them from.

    learn_tasks_in_clusters.py FILE

leaves in FILE, an .npz, what every rank has: each array with a leading rank axis.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import tfmeta
from tfmeta import distributed


def cast(tasks):
    return {n: tf.cast(t, tf.float64) if t.dtype.is_floating else t for n, t in tasks.items()}


def batches(step, tasks):
    rank, ranks = distributed.rank(), distributed.size()
    return tfmeta.SixFamilies(5, 5).batches(tasks, step, 1, rank, ranks).map(cast)


LEARNERS = {
    "own": {"clustering": "gradient", "inner_learning_rate": 0.01},
    "shared": {"clustering": "label", "cluster_start": "shared", "inner_learning_rate": 0.01},
    "evidence": {
        "clustering": "adapted_weights",
        "routing": "evidence",
        "update_rule": tfmeta.updates.GaussNewton(0.1, 1, dtype="float64"),
    },
}


def main(path):
    tfmeta.init()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    results = {}
    for name, arguments in LEARNERS.items():
        model = tfmeta.models.mlp((2,), 1, (8,), seed=distributed.rank())
        learner = tfmeta.ClusteredMAML(model, num_clusters=4, stacked=True, **arguments)
        learner.compile(keras.optimizers.SGD(1.0), loss="mse")
        distributed.broadcast(learner.variables)
        learner.fit_clusters(batches(100, 30))
        before = flat(learner.trainable_variables)
        learner.fit(batches(0, 7), verbose=0)
        results[f"{name} gradient"] = before - flat(learner.trainable_variables)
        results[f"{name} clusters"] = flat([learner.clusters.centroids, learner.clusters.offsets])
    of_all = {n: np.stack(distributed.gather_objects(value)) for n, value in results.items()}
    if distributed.is_main():
        np.savez(path, **of_all)


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


if __name__ == "__main__":
    main(sys.argv[1])
