"""However many ranks share the problems, what an update rule learns is the same.

Seven quadratics and six softmax regressions are shared by 1, 2, 3 and 4 ranks. Each number of ranks
is started once and does everything; see ranks/learn_optimizer.py.
"""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "learn_optimizer.py"
CASES = (
    "lstm on quadratics",
    "hierarchical RNN on softmax regression",
    "gradients of problems clipped",
    "evolution strategies",
)
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.mark.parametrize("result", ["gradient", "loss"])
@pytest.mark.parametrize(
    ("case", "dtype"), [(CASES[0], "float32"), *((case, "float64") for case in CASES)]
)
@pytest.mark.parametrize(
    "ranks", [2, *(pytest.param(ranks, marks=pytest.mark.slow) for ranks in (3, 4))]
)
def test_merged_meta_gradients_are_those_of_one_rank(
    assert_as_on_one_rank, ranks, case, dtype, result
):
    assert_as_on_one_rank(ranks, f"{case} {dtype} {result}", TOLERANCE[dtype])


@pytest.mark.parametrize("result", ["parameters", "logs"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "ranks", [2, *(pytest.param(ranks, marks=pytest.mark.slow) for ranks in (3, 4))]
)
def test_ranks_learn_what_one_learns(assert_as_on_one_rank, ranks, case, result):
    assert_as_on_one_rank(ranks, f"{case} float64 {result}", 1e-10)


def test_a_rank_starts_no_more_threads_than_it_has_cores(learned):
    """A second one would spin on the core that the first one computes on."""
    assert (learned(2)["rank threads"] <= learned(2)["rank cores"]).all()
