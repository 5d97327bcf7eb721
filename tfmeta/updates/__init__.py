"""Update rules: how weights move along their gradient inside a task."""

from tfmeta.updates.gradient_descent import GradientDescent
from tfmeta.updates.update_rule import UpdateRule

__all__ = ["GradientDescent", "UpdateRule"]
