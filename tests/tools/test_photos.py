"""The commands of the README for one's own pictures, on twelve classes of a few photos each."""

import json
import re
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path, shared_data):
    """A folder `photos` of 12 classes with 6 to 12 photos each."""
    with zipfile.ZipFile(shared_data("miniimagenet84_trainval80x40.zip")) as archive:
        classes: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                classes.setdefault(name.split("/")[-2], []).append(name)
        for number, (label, names) in enumerate(sorted(classes.items())[::6][:12]):
            folder = tmp_path / "photos" / label
            folder.mkdir(parents=True)
            for name in names[: 6 + number % 7]:
                (folder / Path(name).name).write_bytes(archive.read(name))
    return tmp_path


def commands():
    """The commands of the section "Your own images" of the README."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Your own images")[1]
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)[1]
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.slow
def test_they_run_as_they_stand_within_five_minutes(photos):
    started = time.monotonic()
    results = []
    for python, program, *flags in commands():
        assert python == "python"
        command = [sys.executable, ROOT / program, *flags]
        result = subprocess.run(command, cwd=photos, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stderr
        results.append(json.loads(result.stdout.splitlines()[-1]))
        assert " +- " in result.stdout
    assert time.monotonic() - started < 300
    # Better than chance, of three classes in training and of two in the other evaluation.
    for chance, found in zip((100 / 3, 100 / 2), results, strict=True):
        assert found["tested_on"] == "test"
        assert chance < found["accuracy"] - found["ci95"] and found["ci95"] < 3
