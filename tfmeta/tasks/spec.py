"""The specification of tasks: what a model for them takes and what it gives."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfmeta.checks import check_choice, check_count
from tfmeta.errors import ArgumentError

KINDS = ("classification", "regression")


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    """The specification of the tasks of a source.

    Attributes:
        x: one example.
        y: one label: an integer scalar in classification, target values in regression.
        outputs: number of classes of a task, or of target values of an example.
        kind: `"classification"` or `"regression"`.
        families: names of the families that tasks come from. A task then carries the number of its
            family in `family`. Empty where tasks have none.

    Raises:
        ArgumentError: `outputs` is not a whole number of at least 1, or `kind` is neither of the
            two.
    """

    x: tf.TensorSpec
    y: tf.TensorSpec
    outputs: int
    kind: str
    families: tuple[str, ...] = ()

    def __post_init__(self):
        check_count("outputs", self.outputs)
        check_choice("kind", self.kind, KINDS)

    @classmethod
    def traced(
        cls,
        tasks: Callable[[tf.Tensor], dict[str, tf.Tensor]],
        outputs: int | None = None,
        families: tuple[str, ...] = (),
    ) -> "TaskSpec":
        """Derives the specification from a trace of the function that makes tasks.

        Integer labels mean classification, all others regression. Class numbers do not tell how
        many classes there are, so `outputs` is required for them.

        Args:
            tasks: the `tasks` method of a source.
            outputs: number of classes. Not needed for regression.
            families: names of the families, where tasks carry a `family`.

        Raises:
            ArgumentError: labels are class numbers and `outputs` is None.
        """
        made = signature(tasks)
        x, y = (
            tf.TensorSpec(made[f"support_{n}"].shape[1:], made[f"support_{n}"].dtype) for n in "xy"
        )
        if not y.dtype.is_integer:
            values = y.shape.num_elements() if outputs is None else outputs
            return cls(x, y, values, "regression", tuple(families))
        if outputs is None:
            raise ArgumentError(
                "outputs",
                outputs,
                "the labels are class numbers, which do not tell the number of classes; set "
                "`self.spec = TaskSpec.traced(self.tasks, outputs=...)` in the source.",
            )
        return cls(x, y, outputs, "classification", tuple(families))


def signature(tasks: Callable[[tf.Tensor], dict[str, tf.Tensor]]) -> dict[str, tf.TensorSpec]:
    """Traces the function that makes tasks, and returns the specs of one task's tensors by name."""
    seeds = tf.TensorSpec([None, 2], tf.int32)
    made = tf.function(tasks).get_concrete_function(seeds).structured_outputs
    return {name: tf.TensorSpec(t.shape[1:], t.dtype) for name, t in made.items()}
