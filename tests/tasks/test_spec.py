import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.tasks.source import TaskSource
from tfmeta.tasks.spec import TaskSpec


class Points(TaskSource):
    """Points in the plane, with a label for each."""

    def label(self, x):
        return tf.cast(x[..., 0] < x[..., 1], tf.int32)

    def tasks(self, seeds):
        made = {}
        for number, (part, count) in enumerate((("support", 3), ("query", 4))):
            x = random_numbers.uniform(random_numbers.fold_in(seeds, number), (count, 2))
            made[f"{part}_x"] = tf.cast(x, tf.float32)
            made[f"{part}_y"] = self.label(made[f"{part}_x"])
        return made


class Sums(Points):
    def label(self, x):
        return tf.stack([x[..., 0] + x[..., 1], x[..., 0] - x[..., 1]], axis=-1)


class LargerCoordinate(Points):
    def __init__(self, seed=0):
        super().__init__(seed)
        self.spec = TaskSpec.traced(self.tasks, outputs=2)


def test_regression_is_told_from_the_labels():
    expected = TaskSpec(tf.TensorSpec([2]), tf.TensorSpec([2]), outputs=2, kind="regression")
    assert Sums().spec == expected


def test_classes_have_to_be_counted_by_the_source():
    with pytest.raises(ArgumentError, match=r"^outputs=None: .* set `self\.spec = TaskSpec\.tr"):
        _ = Points().spec
    expected = TaskSpec(tf.TensorSpec([2]), tf.TensorSpec([], tf.int32), 2, "classification")
    assert LargerCoordinate().spec == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"outputs": 0}, "^outputs=0: give a whole number of at least 1"),
        ({"kind": "ranking"}, "^kind=ranking: give one of classification, regression"),
    ],
)
def test_what_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        TaskSpec(
            **{
                "x": tf.TensorSpec([2]),
                "y": tf.TensorSpec([1]),
                "outputs": 1,
                "kind": "regression",
                **arguments,
            }
        )
