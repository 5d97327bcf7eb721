import numpy as np
import pytest
import tensorflow as tf

from tfmeta.distributed import share
from tfmeta.errors import ArgumentError
from tfmeta.tasks.sinusoid import Sinusoids


def read(dataset):
    return [{name: part.numpy() for name, part in batch.items()} for batch in dataset]


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize("count", [1, 4, 7, 32])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shares_cover_everything_once_and_differ_by_at_most_one(count, ranks):
    shares = [share(count, rank, ranks) for rank in range(ranks)]
    assert [i for part in shares for i in part] == list(range(count))
    sizes = [len(part) for part in shares]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_together_make_the_tasks_that_one_rank_makes(ranks):
    source = Sinusoids(shots=5, queries=3, seed=1)
    alone = read(source.batches(7, steps=3))
    shares = [read(source.batches(7, steps=3, rank=rank, ranks=ranks)) for rank in range(ranks)]
    for step in range(3):
        assert_equal(joined([part[step] for part in shares]), alone[step])


def test_a_task_does_not_depend_on_the_size_of_the_meta_batch():
    source = Sinusoids(shots=5, queries=3)
    (few,), (many,) = read(source.batches(2, steps=1)), read(source.batches(9, steps=1))
    assert_equal(few, {name: part[:2] for name, part in many.items()})


def test_steps_can_be_entered_anywhere():
    source = Sinusoids(shots=5, queries=3)
    for late, early in zip(
        read(source.batches(2, first_step=3, steps=2)),
        read(source.batches(2, steps=5))[3:],
        strict=True,
    ):
        assert_equal(late, early)


def test_seeds_of_tasks_differ_by_source_step_and_index():
    batches = [
        batch
        for seed in (0, 1, 2**32, 2**62)
        for batch in read(Sinusoids(5, 3, seed).batches(8, steps=20))
    ]
    seeds = joined(batches)["seed"]
    assert seeds.dtype == np.int32 and seeds.shape == (4 * 20 * 8, 2)
    assert len(np.unique(seeds, axis=0)) == len(seeds)
    amplitudes = np.concatenate([np.abs(batch["query_y"]).max(axis=(1, 2)) for batch in batches])
    assert len(np.unique(amplitudes)) == len(amplitudes)


def test_length_is_known_or_endless():
    source = Sinusoids(shots=5, queries=3)
    assert source.batches(2, first_step=7, steps=4).cardinality() == 4
    assert source.batches(2).cardinality() == tf.data.INFINITE_CARDINALITY


def test_shapes_are_known_before_anything_is_made():
    spec = Sinusoids(shots=5, queries=3).batches(7, rank=1, ranks=2).element_spec
    assert spec["support_x"] == tf.TensorSpec([3, 5, 1], tf.float32)
    assert spec["query_y"] == tf.TensorSpec([3, 3, 1], tf.float32)
    assert spec["seed"] == tf.TensorSpec([3, 2], tf.int32)


@pytest.mark.parametrize("meta_batch", [0, -1, 2.0, True])
def test_meta_batch_must_be_a_whole_number(meta_batch):
    with pytest.raises(ArgumentError, match=r"^meta_batch=.*: give a whole number of at least 1"):
        Sinusoids(5, 3).batches(meta_batch)


def test_meta_batch_must_give_every_rank_a_task():
    with pytest.raises(ArgumentError, match="^meta_batch=3: .*4 ranks.*raise it to 4"):
        Sinusoids(5, 3).batches(3, rank=0, ranks=4)


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5])
def test_seed_must_be_a_whole_number(seed):
    with pytest.raises(ArgumentError, match="^seed="):
        Sinusoids(5, 3, seed=seed)


def test_an_iterator_can_be_let_go_of_without_waiting_for_a_tuner():
    source = Sinusoids(shots=5, queries=3)
    assert source.batches(2).options().autotune.enabled is False
