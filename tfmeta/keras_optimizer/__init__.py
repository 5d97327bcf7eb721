"""Trained update rules as Keras optimizers."""

from tfmeta.keras_optimizer.learned_optimizer import LearnedOptimizer
from tfmeta.keras_optimizer.load import load_optimizer

__all__ = ["LearnedOptimizer", "load_optimizer"]
