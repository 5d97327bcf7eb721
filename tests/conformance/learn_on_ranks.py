"""Learns from this rank's share of 7 tasks, with some learners and starts, or with every one.

    learn_on_ranks.py FILE [all]

leaves in FILE, an .npz, what every rank has: each array with a leading rank axis; and on several
ranks beside it, in timeline.json, what Horovod did in 20 steps and the end of their epoch.
"""

import functools
import itertools
import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfmeta
from tfmeta import distributed
from tfmeta.registry import LEARNERS, STARTS

STEPS = 20


def cast(tasks):
    return {n: tf.cast(t, tf.float64) if t.dtype.is_floating else t for n, t in tasks.items()}


@functools.cache  # A pipeline takes longer to build than its tasks.
def batches(step, tasks, steps=1):
    rank, ranks = distributed.rank(), distributed.size()
    drawn = tfmeta.SixFamilies(5, 5).batches(tasks, step, steps, rank, ranks).map(cast)
    stacked = tf.nest.map_structure(lambda *tensors: tf.stack(tensors), *drawn)
    return tf.data.Dataset.from_tensor_slices(stacked)


class Largest(keras.metrics.Metric):
    """A metric whose state is no sum."""

    def __init__(self):
        super().__init__(name="largest")
        self.value = self.add_weight(name="value", initializer="zeros")

    def update_state(self, y, prediction, sample_weight=None):
        self.value.assign(tf.maximum(self.value, tf.reduce_max(prediction)))

    def result(self):
        return self.value


# One with statistics, one with a memory, one with starts of clusters, one with a rule of its own.
SOME = ("maml", "reptile", "own gradient", "evidence")


def cases():
    """The learner, its arguments, and its start, by name."""
    for name in LEARNERS:
        yield name, LEARNERS[name], {}, None
    for name, signature in zip(STARTS, itertools.cycle(["gradient", "label"])):
        yield f"{name} {signature}", LEARNERS["maml"], {}, STARTS[name](signature, 4)
    own = STARTS["own"]
    yield "anil own", LEARNERS["anil"], {}, own("adapted_weights", 4)
    yield "reptile own", LEARNERS["reptile"], {}, own("adapted_weights", 4)
    rule = {"update_rule": tfmeta.updates.GaussNewton(0.1, 1)}
    yield "evidence", LEARNERS["maml"], rule, own("adapted_weights", 4, routing="evidence")


def learn(kind, arguments, start):
    """What this rank has after two steps with momentum, and was told of them."""
    model = tfmeta.models.mlp((2,), 1, (8,), seed=distributed.rank())
    learner = kind(model, 0.01, start=start, vectorized=True, **arguments)
    learner.compile(keras.optimizers.SGD(0.5, 0.5), loss="mse", metrics=["mae"])
    distributed.broadcast(learner.variables)
    if start is not None:
        start.form_clusters(learner, batches(100, 30))
    before = flat(learner.trainable_variables)
    logs = learner.fit(batches(0, 7, 2), verbose=0).history
    # All learners evaluate alike.
    told = learner.evaluate(batches(50, 9), verbose=0) if kind is tfmeta.MAML else []
    results = {
        "moved": before - flat(learner.trainable_variables),
        "kept": flat([*learner.memory, tf.zeros([1], tf.float64)]),
        "logs": np.array([*(values[0] for values in logs.values()), *told]),
    }
    if start is not None:
        results["clusters"] = flat([start.clusters.centroids, start.clusters.offsets])
    return results


def refused():
    """The sentence about a metric that cannot be summed; empty where there is one rank."""
    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (8,), seed=0))
    learner.compile("sgd", loss="mse", metrics=["mae", Largest()])
    try:
        learner.fit(batches(0, 7), verbose=0)
    except tfmeta.ArgumentError as error:
        return str(error)
    return ""


def record(path):
    """Trains while Horovod writes down what it does."""
    import horovod.tensorflow as hvd

    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (8,), seed=0), 0.01)
    learner.compile("adam", loss="mse", metrics=["mae"])
    learner.fit(batches(0, 7), verbose=0)
    # Rank 0 writes the timeline. So that it holds what the others ask for between its start and its
    # stop, and nothing else, they wait for both.
    hvd.start_timeline(str(path))
    distributed.broadcast(learner.variables)
    learner.fit(batches(1, 7, STEPS), verbose=0)
    hvd.stop_timeline()
    distributed.broadcast(learner.variables)


def main(path, chosen=SOME):
    os.environ["HOROVOD_TIMELINE"] = "DYNAMIC"  # it may be started later
    tfmeta.init()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    results = {"refused": refused()}
    for name, kind, arguments, start in cases():
        if name not in chosen and chosen != "all":
            continue
        learned = learn(kind, arguments, start)
        results |= {f"{name}: {what}": value for what, value in learned.items()}
    if distributed.size() > 1:
        record(path.with_name("timeline.json"))
    of_all = {n: np.stack(distributed.gather_objects(value)) for n, value in results.items()}
    if distributed.is_main():
        np.savez(path, **of_all)


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
