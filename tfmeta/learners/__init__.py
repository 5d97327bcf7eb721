"""Learners: one algorithm a file, each a `keras.Model`."""

from tfmeta.learners.clustered_maml import ClusteredMAML
from tfmeta.learners.maml import MAML
from tfmeta.learners.optimizer_learner import OptimizerLearner

__all__ = ["ClusteredMAML", "MAML", "OptimizerLearner"]
