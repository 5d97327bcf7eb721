"""However many ranks share the problems, what an update rule learns is the same.

Seven quadratics and six softmax regressions are shared by 1, 2 and 4 ranks. Each number of ranks is
started once and does everything; see ranks/learn_optimizer.py.
"""

import functools
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "ranks" / "learn_optimizer.py"
CASES = ("lstm on quadratics", "hierarchical RNN on softmax regression")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


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


def assert_equal(learned, ranks, name, tolerance):
    several, alone = learned(ranks)[name], learned(1)[name][0]
    assert len(several) == ranks and several.dtype == alone.dtype
    assert (several == several[0]).all(), "the ranks differ from each other"
    np.testing.assert_allclose(several[0], alone, rtol=0, atol=tolerance * np.abs(alone).max())


@pytest.mark.parametrize("result", ["gradient", "loss"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_merged_meta_gradients_are_those_of_one_rank(learned, ranks, case, dtype, result):
    assert_equal(learned, ranks, f"{case} {dtype} {result}", TOLERANCE[dtype])


@pytest.mark.parametrize("result", ["parameters", "logs"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_learn_what_one_learns(learned, ranks, case, result):
    assert_equal(learned, ranks, f"{case} float64 {result}", 1e-10)
