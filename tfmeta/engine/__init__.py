"""One function of one task, run and differentiated for many."""

from tfmeta.engine import second_derivatives
from tfmeta.engine.gradients import TaskGradient, TaskResult, gradients_of, sum_of_gradients
from tfmeta.engine.kept_values import kept_values
from tfmeta.engine.tasks import Tasks, count_of, for_each, of_count, repeated, vectorize
from tfmeta.engine.xla import compiled, recomputed

__all__ = [
    "TaskGradient",
    "TaskResult",
    "Tasks",
    "compiled",
    "count_of",
    "for_each",
    "gradients_of",
    "kept_values",
    "of_count",
    "recomputed",
    "repeated",
    "sum_of_gradients",
    "vectorize",
]

second_derivatives.register()
