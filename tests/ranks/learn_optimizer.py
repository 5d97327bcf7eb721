"""Trains update rules on this rank's share of problems; rank 0 writes down what every rank has.

    learn_optimizer.py FILE

leaves arrays in FILE, each with a leading rank axis.
"""

import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_info

import tfmeta
from tfmeta import distributed
from tfmeta.distributed import share
from tfmeta.learners import OptimizerLearner
from tfmeta.learners.estimators import NoiseReuse, TruncatedGradient
from tfmeta.learners.truncated_training import one_for_each
from tfmeta.problems import Quadratics, SoftmaxRegressions
from tfmeta.scheduling.truncation import FixedUnrolls
from tfmeta.training.loop import Progress
from tfmeta.training.optimizers import OptimizerTrainer
from tfmeta.updates import CoordinatewiseLSTM, HierarchicalRNN

STEPS, UNROLL = 4, 2


def lstm(dtype, seed=0):
    learner = OptimizerLearner(CoordinatewiseLSTM(units=5, seed=seed, dtype=dtype), in_graph=True)
    return learner, Quadratics(4, dtype=dtype), 7


def hierarchical_rnn(dtype, seed=0):
    rule = HierarchicalRNN(sizes=(3, 4, 4), seed=seed, dtype=dtype)
    learner = OptimizerLearner(rule, "log_ratio", first_order=False)
    return learner, SoftmaxRegressions(10, dtype=dtype), 6


def clipped(dtype, seed=0):
    learner, problems, count = lstm(dtype, seed)
    return OptimizerLearner(learner.rule, estimator=TruncatedGradient(1e-3)), problems, count


def noise_reuse(dtype, seed=0):
    learner, problems, count = lstm(dtype, seed)
    return OptimizerLearner(learner.rule, estimator=NoiseReuse(0.1, noise_pairs=2)), problems, count


CASES = {
    "lstm on quadratics": lstm,
    "hierarchical RNN on softmax regression": hierarchical_rnn,
    "gradients of problems clipped": clipped,
    "evolution strategies": noise_reuse,
}


def meta_gradient(learner, problems, meta_batch):
    """Of the second unroll, and the meta-loss of all ranks."""
    mine = share(meta_batch, distributed.rank(), distributed.size())

    @tf.function(autograph=False)
    def begin():
        tasks = learner.estimator.copies(problems.batch(0, mine.start, mine.stop))
        return tasks, learner.start(problems, tasks)

    @tf.function(autograph=False)
    def unroll(tasks, carried, first_step):
        gradients, unroll = learner.meta_gradient(problems, tasks, carried, first_step, UNROLL)
        loss, *gradients = distributed.sum_over_ranks([tf.reduce_sum(unroll.losses), *gradients])
        return gradients, loss, unroll.carried

    tasks, carried = begin()
    *_, carried = unroll(tasks, carried, tf.constant(0))
    gradients, loss, _ = unroll(tasks, carried, tf.constant(UNROLL))
    return {"gradient": flat(gradients), "loss": loss.numpy()}


def trained(learner, problems, meta_batch):
    """The rule's parameters after three meta-iterations, what was told, and a validation."""
    learner.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    validation = type(problems)(10, seed=1, dtype=problems.dtype)
    trainings = one_for_each(learner, [problems], meta_batch)
    trainer = OptimizerTrainer(
        learner, trainings, [validation], FixedUnrolls(STEPS, UNROLL), meta_batch, 5, STEPS
    )
    logs = trainer.advance(0, 3, Progress(0, 3, meta_batch))
    validated = trainer.validate()
    return {
        "parameters": flat(learner.get_weights()),
        "logs": np.array([logs["loss"], validated["log_ratio"], validated["ci95"]]),
    }


def threads():
    """Of this rank: its cores, and the most threads that NumPy or scikit-learn would start."""
    most = max(library["num_threads"] for library in threadpool_info())
    return {"cores": np.array(len(os.sched_getaffinity(0))), "threads": np.array(most)}


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def main(path):
    tfmeta.init()
    results: dict = {"rank": threads()}
    for name, case in CASES.items():
        for dtype in ("float32", "float64") if case is lstm else ("float64",):
            results[f"{name} {dtype}"] = meta_gradient(*case(dtype))
        # Each rank begins with a rule of its own; that of rank 0 is to be everybody's.
        results[f"{name} float64"] |= trained(*case("float64", seed=distributed.rank()))
    of_all_ranks = {
        f"{case} {name}": np.stack(distributed.gather_objects(value))
        for case, values in results.items()
        for name, value in values.items()
    }
    if distributed.is_main():
        np.savez(path, **of_all_ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
