"""However many ranks share a meta-batch, its clusters and the mean over them are the same."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "learn_tasks_in_clusters.py"


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_average_over_the_same_clusters_as_one(learned, assert_as_on_one_rank, ranks):
    for name in learned(1):
        assert_as_on_one_rank(ranks, name, 1e-12)
