"""Ranks that do not do the same are told so, all of them in the same sentence; none of them hangs.

They are started once and do everything; see ranks/disagree.py.
"""

import json
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "disagree.py"
TELLS = {
    "numbers of meta batches": "x=5 meta-batches: rank 0 has that, but rank 1 has 3 meta-batches",
    "numbers in all": "x=3 meta-batches an epoch: rank 0 has that, but rank 1 has 4 meta-",
    "numbers that no pipeline knows": "rank 0 is at a step of fit, rank 1 is at the end of an",
    "numbers of epochs": "epochs=0 to 1: rank 0 has that, but rank 1 has 0 to 2",
    "optimizers": "optimizer=SGD: rank 0 has that, but rank 1 has Adam",
    "models": "model=34 numbers in 5 variables: rank 0 has that, but rank 1 has 38 numbers",
    "metrics": "metrics=loss, mae: rank 0 has that, but rank 1 has loss, mse",
    "validations": "validation_data=none: rank 0 has that, but rank 1 has every 1 epochs",
    "methods": "rank 0 is at evaluate, rank 1 is at fit",
    "evaluation on one rank in a training": "rank 0 is at evaluate, rank 1 is at a step of fit",
    "a callback that stops one rank": "rank 0 is at a step of fit, rank 1 is at the end of an",
    "episodes": "episodes=8: rank 0 has that, but rank 1 has 9",
    "sums of as many numbers": "rank 0 is at the end of an epoch or evaluation, rank 1 is at",
}


@pytest.fixture(scope="module")
def told(horovodrun, tmp_path_factory):
    path = tmp_path_factory.mktemp("told") / "told.json"
    finished = horovodrun(2, [PROGRAM, path])
    assert finished.returncode == 0, finished.stderr
    return json.loads(path.read_text())


@pytest.mark.parametrize("case", TELLS)
def test_all_ranks_are_told_what_each_does(told, case):
    assert told[case][0] == told[case][1]
    assert TELLS[case] in told[case][0]


def test_validations_may_differ_in_length_and_ranks_go_on_after_a_disagreement(told):
    assert set(told) == {*TELLS, "nothing"}
    assert told["nothing"] == ["", ""]
