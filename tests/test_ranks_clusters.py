"""However many ranks share the clusters, an update rule moves by the mean that was asked for."""

import functools
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "ranks" / "learn_clusters.py"


@pytest.fixture(scope="module")
def learned(horovodrun, tmp_path_factory):
    """The results of so many ranks: each an array with a leading rank axis."""

    @functools.cache
    def learned(ranks):
        path = tmp_path_factory.mktemp(f"ranks{ranks}") / "results.npz"
        finished = horovodrun(ranks, [PROGRAM, path])
        assert finished.returncode == 0, finished.stderr
        with np.load(path) as results:
            return dict(results)

    return learned


@pytest.mark.parametrize("name", ["parameters", "losses"])
@pytest.mark.parametrize("average_over", ["clusters", "tasks"])
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_split_clusters_move_the_rule_as_on_one_rank(learned, ranks, average_over, name):
    """The clusters are of unequal size, and at least one of them is split."""
    assert_equal(learned, ranks, f"{average_over} {name}")


@pytest.mark.parametrize("name", ["parameters", "losses"])
def test_copies_updated_on_two_ranks_are_averaged_as_on_one(learned, name):
    assert_equal(learned, 2, f"update {name}")


def assert_equal(learned, ranks, name):
    several, alone = learned(ranks)[name], learned(1)[name][0]
    assert len(several) == ranks and several.dtype == np.float64
    assert (several == several[0]).all(), "the ranks differ from each other"
    np.testing.assert_allclose(several[0], alone, rtol=0, atol=1e-12 * np.abs(alone).max())
