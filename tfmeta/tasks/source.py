"""Sources of few-shot tasks."""

import abc
import functools

import tensorflow as tf

from tfmeta.tasks.addressed import AddressedSource
from tfmeta.tasks.spec import TaskSpec


class TaskSource(AddressedSource):
    """An endless supply of few-shot tasks, each with a support set and a query set.

    A subclass implements `tasks`. If labels are class numbers, it also sets `self.spec` in its
    constructor, because labels do not tell the number of classes:

        class Parity(tfmeta.TaskSource):
            def __init__(self, seed=0):
                super().__init__(seed)
                self.spec = tfmeta.TaskSpec.traced(self.tasks, outputs=2)

            def tasks(self, seeds):
                ...

    Args:
        seed: the seed of the source. Sources with different seeds give unrelated tasks.

    Raises:
        ArgumentError: `seed` is not a whole number from 0 to 2**63 - 1.
    """

    @abc.abstractmethod
    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes one task from each seed, within a graph.

        A task depends on its own seed alone, not on its place or on the other tasks. The functions
        of `random_numbers` draw that way.

        Args:
            seeds: int32 `[tasks, 2]`.

        Returns:
            `support_x`, float32 `[tasks, support examples, ...]`; `support_y`, class numbers,
            int32 `[tasks, support examples]`, or target values, float32
            `[tasks, support examples, outputs]`; `query_x` and `query_y` alike. Optionally
            `family`, int32 `[tasks]`, the index of each task's family in `spec.families`.
        """

    @functools.cached_property
    def spec(self) -> TaskSpec:
        """The specification of the tasks; by default derived from a trace of `tasks`.

        Raises:
            ArgumentError: labels are class numbers, and the source has not set `self.spec`.
        """
        return TaskSpec.traced(self.tasks)
