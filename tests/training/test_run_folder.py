"""What a run leaves in its folder comes back."""

import json
import math

import pytest

from tfmeta.errors import ArgumentError
from tfmeta.training.run_folder import RunFolder


def test_flags_with_names_of_any_encoding_come_back(tmp_path):
    lines = ["--dataset=folder:my + photos/café", "--split=caf\udce9"]
    folder = RunFolder(tmp_path)
    folder.write_flags(lines)
    assert folder.read_flags() == lines
    assert folder.flags.read_bytes().endswith(b"--split=caf\xe9\n")


def test_a_folder_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder("~/runs").path == tmp_path / "runs"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("checkpoints", False), ("metrics.jsonl", True), ("results.json", True), ("part.json", True)],
)
def test_what_lies_in_the_way_is_named_before_any_work(tmp_path, name, folder):
    (tmp_path / name).mkdir() if folder else (tmp_path / name).touch()
    with pytest.raises(ArgumentError, match=f"output_dir=.*{name}"):
        RunFolder(tmp_path).claim(resume=False)


def test_flags_that_are_a_folder_are_no_run(tmp_path):
    (tmp_path / "flags.txt").mkdir()
    with pytest.raises(ArgumentError, match="output_dir=.*no run"):
        RunFolder(tmp_path).read_flags()


def test_what_is_not_finite_is_null_in_files_and_nan_again(tmp_path):
    row = {"step": 1, "seconds": 1.0, "training": {"loss": 0.5}}
    row["validation"] = {"log_ratio": math.nan, "families": {"bowl": {"loss": math.inf}}}
    folder = RunFolder(tmp_path)
    folder.write_metrics([row])
    expected = {**row, "validation": {"log_ratio": None, "families": {"bowl": {"loss": None}}}}
    assert json.loads(folder.metrics.read_text()) == expected
    [read] = folder.read_metrics(1)
    assert math.isnan(read["validation"]["log_ratio"]) and read["training"] == row["training"]
    assert math.isnan(read["validation"]["families"]["bowl"]["loss"])
