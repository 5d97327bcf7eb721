"""How the meta-gradient of an unroll is estimated: one estimator a file."""

from tfmeta.learners.estimators.base import Carried, Estimator, Unroll
from tfmeta.learners.estimators.noise_reuse import NoiseReuse
from tfmeta.learners.estimators.truncated import TruncatedGradient

__all__ = ["Carried", "Estimator", "NoiseReuse", "TruncatedGradient", "Unroll"]
