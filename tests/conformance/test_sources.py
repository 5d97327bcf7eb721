"""What every source of few-shot tasks must do: those in the registry, episodes and mixtures."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.data.image_classes import ImageClasses
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError
from tfmeta.registry import SOURCES
from tfmeta.tasks.episodes import Episodes
from tfmeta.tasks.mixed import Mixed
from tfmeta.tasks.spec import TaskSpec

SETS = ("support", "query")
# Every image is another one.
IMAGES = ImageClasses(
    images=np.random.default_rng(0).integers(0, 256, [40, 4, 4, 1], np.uint8),
    counts=np.full(8, 5),
    names=tuple("abcdefgh"),
)


def episodes(shots=1, queries=2, seed=0, **arguments):
    return Episodes(
        IMAGES, **{"ways": 3, "shots": shots, "queries": queries, **arguments}, seed=seed
    )


@functools.lru_cache(typed=True)
def mixed(shots=1, queries=2, seed=0):
    sources = [episodes(shots, queries), episodes(shots, queries, invert=True)]
    return Mixed(sources, ("plain", "negative"), seed)


MADE = {**SOURCES, "episodes": episodes, "mixed": mixed}


@pytest.fixture(params=MADE)
def make(request):
    """Makes a source with these shots, queries and seed."""
    return MADE[request.param]


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def rows(batch):
    """The support set and the query set of each task, as bytes."""
    return [
        b"".join(batch[f"{part}_{name}"][task].numpy().tobytes() for part in SETS for name in "xy")
        for task in range(len(batch["seed"]))
    ]


def test_a_task_depends_on_its_address_alone(make):
    source = make(3, 2)
    whole = source.batch(2, 0, 7)
    assert_equal(make(3, 2).batch(2, 0, 7), whole)
    for ranks in (2, 3, 4):
        shares = [share(7, rank, ranks) for rank in range(ranks)]
        parts = [source.batch(2, part.start, part.stop) for part in shares]
        assert_equal({name: tf.concat([p[name] for p in parts], 0) for name in whole}, whole)


def test_batches_are_the_tasks_of_their_steps(make):
    source = make(3, 2)
    second, third = source.batches(7, first_step=1, steps=2, rank=1, ranks=2)
    assert_equal(second, source.batch(1, 4, 7))
    assert_equal(third, source.batch(2, 4, 7))


def test_steps_places_and_seeds_give_unrelated_tasks(make):
    batches = [make(3, 2, seed).batch(step, 0, 8) for seed in (0, 1, 2**62) for step in (0, 1)]
    tasks = [task for batch in batches for task in rows(batch)]
    assert len(set(tasks)) == 6 * 8


def test_the_specification_is_true(make):
    source = make(3, 2)
    spec = source.spec
    described = source.batches(20, steps=1)
    (batch,) = described
    for name, tensor in batch.items():
        # The shapes are known before anything is made.
        assert described.element_spec[name] == tf.TensorSpec(tensor.shape, tensor.dtype), name
    for part in SETS:
        for name, one in (("x", spec.x), ("y", spec.y)):
            tensor = batch[f"{part}_{name}"]
            assert (tensor.shape[2:], tensor.dtype) == (one.shape, one.dtype)
        x, y = batch[f"{part}_x"], batch[f"{part}_y"]
        assert x.shape[:2] == y.shape[:2] and np.isfinite(x).all()
        if spec.kind == "classification":
            assert spec.y.shape == () and spec.y.dtype.is_integer
            assert (np.sort(np.unique(y)) == np.arange(spec.outputs)).all()
        else:
            assert spec.y.shape == (spec.outputs,) and spec.y.dtype.is_floating
            assert np.isfinite(y).all()
    assert ("family" in batch) == bool(spec.families)
    if spec.families:
        family = batch["family"]
        assert (family.shape, family.dtype) == ((20,), tf.int32)
        assert set(family.numpy()) <= set(range(len(spec.families)))
    assert TaskSpec.traced(source.tasks, spec.outputs, spec.families) == spec


def test_support_and_query_do_not_overlap(make):
    batch = make(3, 2).batch(0, 0, 20)
    for support, query in zip(batch["support_x"], batch["query_x"], strict=True):
        equal = support.numpy()[:, None] == query.numpy()[None]
        assert not equal.reshape(*equal.shape[:2], -1).all(axis=-1).any()


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, True])
def test_seeds_must_be_whole_numbers(make, seed):
    with pytest.raises(ArgumentError, match=f"^seed={seed}: give a whole number from 0 to"):
        make(3, 2, seed)


@pytest.mark.parametrize("name", ["shots", "queries"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_examples_must_be_whole_numbers(make, name, value):
    with pytest.raises(ArgumentError, match=f"^{name}={value}: give a whole number of at least 1"):
        make(**{"shots": 3, "queries": 2, name: value})
