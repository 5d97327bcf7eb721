"""Optimization problems: what a learned optimizer is trained and tested on."""

from tfmeta.problems.base import ProblemFamily
from tfmeta.problems.bowl import Bowls
from tfmeta.problems.fully_connected import FullyConnectedNetworks
from tfmeta.problems.image_network import ImageNetworks
from tfmeta.problems.keras_training import KerasModelProblems
from tfmeta.problems.noisy import NoisyGradients
from tfmeta.problems.quadratic import Quadratics
from tfmeta.problems.registry import PROBLEMS, problems_named
from tfmeta.problems.scaled import ScaledCoordinates
from tfmeta.problems.softmax_regression import SoftmaxRegressions
from tfmeta.problems.two_dimensional import TwoDimensionalFunctions

__all__ = [
    "Bowls",
    "FullyConnectedNetworks",
    "ImageNetworks",
    "KerasModelProblems",
    "NoisyGradients",
    "PROBLEMS",
    "ProblemFamily",
    "Quadratics",
    "ScaledCoordinates",
    "SoftmaxRegressions",
    "TwoDimensionalFunctions",
    "problems_named",
]
