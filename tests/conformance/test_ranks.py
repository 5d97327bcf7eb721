"""However many ranks share a meta-batch, a learner learns what it learns on one."""

import collections
import json
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "learn_on_ranks.py"
STEPS = 20
several = pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])


@several
def test_ranks_learn_what_one_learns(learned, assert_as_on_one_rank, ranks):
    for name in learned(1):
        if name not in ("refused", "path"):
            assert_as_on_one_rank(ranks, name, 1e-11)


@several
def test_a_metric_whose_state_does_not_add_up_is_refused_by_name(learned, ranks):
    assert learned(1)["refused"].tolist() == [""]
    sentence = "metrics=largest: its state does not add up over ranks; "
    assert all(said.startswith(sentence) for said in learned(ranks)["refused"])


@several
def test_a_step_is_one_round_of_negotiation_and_gathers_nothing(learned, ranks):
    """Besides, `fit` compares what ranks are about to do at its beginning, which takes two small
    gathers, and broadcasts the variables; and it sums metrics at its end.
    """
    events = json.loads((Path(str(learned(ranks)["path"])) / "timeline.json").read_text())
    counts = collections.Counter(event.get("name") for event in events if event.get("ph") == "B")
    print(counts)
    assert counts["NEGOTIATE_ALLREDUCE"] == STEPS + 1
    assert counts["NEGOTIATE_ALLGATHER"] == 2
