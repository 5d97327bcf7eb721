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


@pytest.mark.parametrize("count", [1, 4, 7, 32])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shares_cover_everything_once_and_differ_by_at_most_one(count, ranks):
    shares = [share(count, rank, ranks) for rank in range(ranks)]
    assert [i for part in shares for i in part] == list(range(count))
    sizes = [len(part) for part in shares]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


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


@pytest.mark.parametrize("meta_batch", [0, -1, 2.0, True])
def test_meta_batch_must_be_a_whole_number(meta_batch):
    with pytest.raises(ArgumentError, match=r"^meta_batch=.*: give a whole number of at least 1"):
        Sinusoids(5, 3).batches(meta_batch)


def test_meta_batch_must_give_every_rank_a_task():
    with pytest.raises(ArgumentError, match="^meta_batch=3: .*4 ranks.*raise it to 4"):
        Sinusoids(5, 3).batches(3, rank=0, ranks=4)


def test_an_iterator_can_be_let_go_of_without_waiting_for_a_tuner():
    source = Sinusoids(shots=5, queries=3)
    assert source.batches(2).options().autotune.enabled is False
