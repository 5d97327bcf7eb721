import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.tasks.mixed import Mixed
from tfmeta.tasks.sinusoid import Sinusoids
from tfmeta.tasks.source import TaskSource
from tfmeta.tasks.spec import TaskSpec


class Constants(TaskSource):
    """Every number of its tasks is the same."""

    def __init__(self, value, shots=5):
        super().__init__()
        self.value, self.shots = value, shots

    def tasks(self, seeds):
        made = Sinusoids(self.shots, 3).tasks(seeds)
        return {name: tf.zeros_like(tensor) + self.value for name, tensor in made.items()}


class Ways(Constants):
    """Its tasks have classes, all labels 0."""

    def __init__(self, ways):
        super().__init__(0)
        self.spec = TaskSpec.traced(self.tasks, outputs=ways)

    def tasks(self, seeds):
        made = super().tasks(seeds)
        for name in ("support_y", "query_y"):
            made[name] = tf.cast(made[name][..., 0], tf.int32)
        return made


def one_batch(source, **kwargs):
    (batch,) = source.batches(steps=1, **kwargs)
    return {name: part.numpy() for name, part in batch.items()}


def test_each_task_comes_whole_from_the_source_that_it_names():
    batch = one_batch(Mixed([Constants(i) for i in range(3)], "abc"), meta_batch=600)
    assert batch["family"].dtype == np.int32
    np.testing.assert_allclose(np.bincount(batch["family"]), 200, rtol=0.25)
    for name in ("support_x", "support_y", "query_x", "query_y"):
        values = batch[name].reshape(600, -1)
        assert (values == batch["family"][:, None]).all()


def test_sources_must_be_alike_and_several():
    with pytest.raises(ArgumentError, match="sources=b: its tasks differ in shape"):
        Mixed([Sinusoids(5, 3), Constants(7, shots=6)], "ab")
    with pytest.raises(
        ArgumentError, match="sources=b: .*outputs from those of a; make them alike"
    ):
        Mixed([Ways(2), Ways(3)], "ab")
    with pytest.raises(ArgumentError, match="sources=1: give at least two"):
        Mixed([Sinusoids(5, 3)], "a")
    with pytest.raises(ArgumentError, match="names=.*: give one for each of 2 sources"):
        Mixed([Sinusoids(5, 3), Constants(7)], "abc")


def test_the_names_of_the_sources_are_those_of_the_families():
    spec = Mixed([Sinusoids(5, 3), Constants(7)], "ab").spec
    assert spec == TaskSpec(tf.TensorSpec([1]), tf.TensorSpec([1]), 1, "regression", ("a", "b"))
