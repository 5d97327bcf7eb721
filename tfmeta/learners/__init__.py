"""Learners: one algorithm a file, each a `keras.Model`."""

from tfmeta.learners.anil import ANIL
from tfmeta.learners.base import FewShotLearner
from tfmeta.learners.maml import MAML
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.reptile import Reptile

__all__ = ["ANIL", "MAML", "FewShotLearner", "OptimizerLearner", "Reptile"]
