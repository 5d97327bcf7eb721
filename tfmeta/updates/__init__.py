"""Update rules: how weights move along their gradient inside a task."""

from tfmeta.updates.adam import Adam
from tfmeta.updates.adamw import AdamW
from tfmeta.updates.base import GradientRule, Step, UpdateRule
from tfmeta.updates.gauss_newton import GaussNewton
from tfmeta.updates.gradient_descent import GradientDescent
from tfmeta.updates.hierarchical_rnn import HierarchicalRNN
from tfmeta.updates.layer_rates import LayerRates
from tfmeta.updates.lstm import CoordinatewiseLSTM
from tfmeta.updates.meta_sgd import MetaSGD
from tfmeta.updates.momentum import Momentum
from tfmeta.updates.nesterov import Nesterov
from tfmeta.updates.objective import Objective
from tfmeta.updates.rmsprop import RMSprop

__all__ = [
    "Adam",
    "AdamW",
    "CoordinatewiseLSTM",
    "GaussNewton",
    "GradientDescent",
    "GradientRule",
    "HierarchicalRNN",
    "LayerRates",
    "MetaSGD",
    "Momentum",
    "Nesterov",
    "Objective",
    "RMSprop",
    "Step",
    "UpdateRule",
]
