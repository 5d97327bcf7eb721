"""However many ranks share the clusters, an update rule moves by the mean that was asked for."""

from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "learn_clusters.py"


@pytest.mark.parametrize("name", ["parameters", "losses"])
@pytest.mark.parametrize("average_over", ["clusters", "tasks"])
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_split_clusters_move_the_rule_as_on_one_rank(
    learned, assert_as_on_one_rank, ranks, average_over, name
):
    """The clusters are of unequal size, and at least one of them is split."""
    assert learned(ranks)[f"{average_over} {name}"].dtype == np.float64
    assert_as_on_one_rank(ranks, f"{average_over} {name}", 1e-12)


@pytest.mark.parametrize("name", ["parameters", "losses"])
def test_copies_updated_on_two_ranks_are_averaged_as_on_one(learned, assert_as_on_one_rank, name):
    assert learned(2)[f"update {name}"].dtype == np.float64
    assert_as_on_one_rank(2, f"update {name}", 1e-12)
