"""What test_ranks.py says of some learners and starts is true of every one."""

from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "learn_on_ranks.py"
ARGUMENTS = ("all",)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_learn_what_one_learns(learned, assert_as_on_one_rank, ranks):
    names = set(learned(1)) - {"refused", "path"}
    assert len(names) > 20
    for name in names:
        assert_as_on_one_rank(ranks, name, 1e-11)
