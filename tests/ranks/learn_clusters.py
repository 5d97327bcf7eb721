"""Trains an update rule on clusters of problems; rank 0 writes down what every rank has.

    learn_clusters.py FILE

leaves arrays in FILE, each with a leading rank axis.
"""

import sys
from pathlib import Path

import keras
import numpy as np

import tfmeta
from tfmeta import distributed
from tfmeta.learners import OptimizerLearner
from tfmeta.learners.averaged_copies import AveragedCopies
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import Bowls, Quadratics
from tfmeta.scheduling.balance import BalancedSchedule
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import CoordinatewiseLSTM

# Two families in the first cluster, one in the second; 7 is not a multiple of 2 or 3.
CLUSTERS, PROBLEMS = [0, 0, 1], 7
LENGTHS = Lengths([2, 2], True)


def families():
    kinds = (Bowls, 5.0), (Bowls, 1.0), (Quadratics, 4)
    return [kind(argument, dtype="float64") for kind, argument in kinds]


def learner():
    """Whose parameters move by the meta-gradient itself."""
    rule = CoordinatewiseLSTM(units=4, layers=1, dtype="float64")
    learner = OptimizerLearner(rule, "log_ratio", first_order=False)
    learner.compile(keras.optimizers.SGD(1.0))
    return learner


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def main(path):
    tfmeta.init()
    # What is built for one loop serves the others.
    one, problems = learner(), families()
    first = one.get_weights()
    results = {}
    for average_over in ("clusters", "tasks"):
        one.set_weights(first)
        schedule = BalancedSchedule(CLUSTERS, PROBLEMS)
        loop = TruncatedTraining(one, problems, schedule, average_over)
        losses = [loop(step, LENGTHS) for step in range(2)]
        results[f"{average_over} parameters"] = flat(one.get_weights())
        results[f"{average_over} losses"] = np.array(losses)
    if distributed.size() < 3:
        one.set_weights(first)
        loop = AveragedCopies(one, problems, BalancedSchedule(CLUSTERS, 2, "whole"))
        results["update losses"] = np.array([loop(0, LENGTHS)])
        results["update parameters"] = flat(one.get_weights())
    of_all_ranks = {
        name: np.stack(distributed.gather_objects(value)) for name, value in results.items()
    }
    if distributed.is_main():
        np.savez(path, **of_all_ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
