import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.tasks.mixed import Mixed
from tfmeta.tasks.sinusoid import Sinusoids
from tfmeta.tasks.source import TaskSource


class Constants(TaskSource):
    """Every number of its tasks is the same."""

    def __init__(self, value, shots=5):
        super().__init__()
        self.value, self.shots = value, shots

    def tasks(self, seeds):
        made = Sinusoids(self.shots, 3).tasks(seeds)
        return {name: tf.zeros_like(tensor) + self.value for name, tensor in made.items()}


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


def test_a_task_depends_on_its_address_alone():
    source = Mixed([Sinusoids(5, 3), Constants(7)], "ab", seed=2)
    alone = one_batch(source, meta_batch=7)
    shares = [one_batch(source, meta_batch=7, rank=rank, ranks=3) for rank in range(3)]
    for name, values in alone.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in shares]), values)


def test_shapes_are_known_before_anything_is_made():
    spec = Mixed([Sinusoids(5, 3), Constants(7)], "ab").batches(4).element_spec
    assert spec["support_x"] == tf.TensorSpec([4, 5, 1], tf.float32)
    assert spec["family"] == tf.TensorSpec([4], tf.int32)


def test_sources_must_be_alike_and_several():
    with pytest.raises(ArgumentError, match="sources=b: its tasks differ in shape"):
        Mixed([Sinusoids(5, 3), Constants(7, shots=6)], "ab")
    with pytest.raises(ArgumentError, match="sources=1: give at least two"):
        Mixed([Sinusoids(5, 3)], "a")
