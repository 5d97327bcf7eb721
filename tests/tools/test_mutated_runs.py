"""Flags of odd values, and runs whose files are damaged: the binary ends with 0, or with 2 and a
sentence, and what was there stays.
"""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from mutated_inputs import contents, mutated

TRAIN = Path(__file__).parents[2] / "tools" / "train.py"

VALUES = (
    *("", " ", "-", "--", "nan", "inf", "-1", "0", "1", "2", "1e999", "1e-999", "0x10", "1_000"),
    *("٣", "9" * 30, "0.5", "true", "None", "a,b", ",", "=", "%s", "{}", "'", '"', "a\nb", "é"),
    *("x" * 5000, "../..", "~", "/dev/null", "/", "glyphs+", "npz:", "tfds:", "folder:/dev/null"),
    *("[0]", "100000", "1000000000"),
)


def seeds(count):
    first, last = map(int, os.environ.get("MUTATIONS", f"0:{count}").split(":"))
    return range(first, last)


def assert_told(result, case):
    """A success says nothing wrong; a refusal is one sentence, perhaps after warnings."""
    assert result.returncode in (0, 2), (case, result.stderr)
    assert "Traceback" not in result.stderr, (case, result.stderr)
    if result.returncode == 2:
        assert 1 <= len(result.stderr.strip().splitlines()) <= 4, (case, result.stderr)


@pytest.mark.slow
def test_flags_of_odd_values(forked, characters, tmp_path):
    """Where the value can be used, the training ends at its folder, which cannot be made."""
    names = re.findall(r"^\s+--(?:\[no\])?(\w+)", forked(TRAIN, "--help").stdout, re.MULTILINE)
    names = sorted({name for name in names if "help" not in name})
    assert len(names) > 40
    for seed in seeds(100):
        rng = np.random.default_rng(seed)
        name, value = str(rng.choice(names)), VALUES[int(rng.integers(len(VALUES)))]
        flags = [f"--dataset={characters}", "--output_dir=/proc/none/run"]
        if name == "output_dir":
            flags = ["--dataset=npz:missing.npz"]
        folder = tmp_path / str(seed)
        folder.mkdir()
        result = forked(TRAIN, *flags, f"--{name}={value}", cwd=folder)
        assert result.returncode == 2, (seed, name, value, result.stderr)
        assert_told(result, (seed, name, value))
        assert name == "cache_dir" or not list(folder.iterdir()), (seed, name, value)


@pytest.fixture(scope="module")
def finished(forked, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    flags = [*small, "--steps=4", "--validate_every=2", f"--output_dir={folder}"]
    assert forked(TRAIN, *flags).returncode == 0
    return folder


def resumed(forked, finished, folder, seed):
    """What a run says that is gone on with after one of its files was damaged."""
    rng = np.random.default_rng(seed)
    shutil.copytree(finished, folder)
    names = ("flags.txt", "metrics.jsonl", "results.json", "checkpoints/step_00000004.keras")
    path = folder / names[int(rng.integers(len(names)))]
    path.write_bytes(mutated(path.read_bytes(), rng))
    before = contents(folder)
    before.pop(folder / "lock", None)  # tells of the last job
    result = forked(TRAIN, f"--output_dir={folder}", "--resume")
    assert_told(result, (seed, path.name))
    if result.returncode == 2:
        after = contents(folder)
        lost = [file.name for file, content in before.items() if after.get(file) != content]
        assert not lost, (seed, path.name, lost, result.stderr)


@pytest.mark.slow
def test_runs_with_a_damaged_file(forked, finished, tmp_path):
    for seed in seeds(50):
        resumed(forked, finished, tmp_path / str(seed), seed)
        shutil.rmtree(tmp_path / str(seed))
