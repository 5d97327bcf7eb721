"""However many ranks share a meta-batch, its clusters and the mean over them are the same."""

from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "ranks" / "learn_tasks_in_clusters.py"


@pytest.mark.parametrize("numbers", [(2,), pytest.param((3,), marks=pytest.mark.slow)])
def test_ranks_average_over_the_same_clusters_as_one(horovodrun, numbers, tmp_path):
    learned = {}
    for ranks in (1, *numbers):
        path = tmp_path / f"{ranks}.npz"
        finished = horovodrun(ranks, [PROGRAM, path])
        assert finished.returncode == 0, finished.stderr
        with np.load(path) as results:
            learned[ranks] = dict(results)
    for ranks in numbers:
        for name, alone in learned[1].items():
            several = learned[ranks][name]
            assert (several == several[0]).all(), f"the ranks differ from each other: {name}"
            tolerance = 1e-12 * np.abs(alone).max()
            np.testing.assert_allclose(several[0], alone[0], rtol=0, atol=tolerance)
