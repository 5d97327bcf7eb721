"""Numbers that were found are taken from the file that keeps them."""

import math

import pytest

from tfmeta.errors import ArgumentError
from tfmeta.evaluation.hand_designed import HAND_DESIGNED
from tfmeta.evaluation.tuned_numbers import TunedNumbers
from tfmeta.evaluation.tuning import Found

FOUND = {
    name: Found(dict.fromkeys(optimizer.ranges, 0.1), -2.5, [])
    for name, optimizer in HAND_DESIGNED.items()
}
FOUND["momentum"] = Found({"learning_rate": 1e-5, "momentum": 0.9}, math.inf, ["learning_rate"])
SETTINGS = {"family": "bowl_5", "trials": 100}


def no_search():
    raise AssertionError("searched again")


def test_what_was_found_is_not_sought_again(tmp_path):
    path = tmp_path / "folder" / "rivals.json"
    assert TunedNumbers(path).get(SETTINGS, lambda: FOUND) == FOUND
    again = TunedNumbers(path)
    assert again.get(dict(reversed(SETTINGS.items())), no_search) == FOUND
    others = {**FOUND, "adam": FOUND["adam_cosine"]._replace(score=-3.0)}
    assert again.get({**SETTINGS, "trials": 8}, lambda: others) == others
    both = TunedNumbers(path)
    assert both.get(SETTINGS, no_search) == FOUND
    assert both.get({**SETTINGS, "trials": 8}, no_search) == others
    assert [file.name for file in path.parent.iterdir()] == ["rivals.json"]


@pytest.mark.parametrize("text", ["", "{}", "3", '{"a": 1}', '[{"settings": {}}]', "[1]", "\x00"])
def test_a_damaged_file_is_refused(tmp_path, text):
    path = tmp_path / "rivals.json"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=r"rivals=.*cannot be read"):
        TunedNumbers(path)


@pytest.mark.parametrize(
    "others",
    [
        {"sgd": FOUND["adam"]},
        {**FOUND, "adam": FOUND["momentum"]},
        {**FOUND, "momentum": Found({}, math.inf, [])},
        {**FOUND, "momentum": Found({"learning_rate": "fast", "momentum": 0.9}, -2.5, [])},
    ],
)
def test_other_optimizers_are_refused(tmp_path, others):
    path = tmp_path / "rivals.json"
    TunedNumbers(path).get(SETTINGS, lambda: others)
    with pytest.raises(ArgumentError, match=r"rivals=.*other optimizers"):
        TunedNumbers(path)


def test_a_folder_is_not_told_to_be_removed(tmp_path):
    with pytest.raises(ArgumentError, match=r"rivals=.*give a file"):
        TunedNumbers(tmp_path)


def test_two_comparisons_share_a_file(tmp_path):
    one, other = TunedNumbers(tmp_path / "rivals.json"), TunedNumbers(tmp_path / "rivals.json")
    one.get(SETTINGS, lambda: FOUND)
    other.get({**SETTINGS, "trials": 8}, lambda: FOUND)
    both = TunedNumbers(tmp_path / "rivals.json")
    assert both.get(SETTINGS, no_search) == both.get({**SETTINGS, "trials": 8}, no_search) == FOUND


def test_what_cannot_be_written_is_refused_before_the_search(tmp_path):
    (tmp_path / "file").write_text("")
    tuned = TunedNumbers(tmp_path / "file" / "rivals.json")
    with pytest.raises(ArgumentError, match=r"rivals=.*cannot be written"):
        tuned.get(SETTINGS, no_search)


def test_what_is_known_needs_no_writing(tmp_path, monkeypatch):
    TunedNumbers(tmp_path / "rivals.json").get(SETTINGS, lambda: FOUND)
    monkeypatch.setattr("tfmeta.evaluation.tuned_numbers.write_whole", None)
    assert TunedNumbers(tmp_path / "rivals.json").get(SETTINGS, no_search) == FOUND
