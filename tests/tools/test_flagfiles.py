"""Every flagfile makes a run."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "tools" / "train.py"
FLAGFILES = sorted(path.stem for path in (ROOT / "flags").glob("*.flags"))


@pytest.fixture(scope="session")
def images_in_parts(tmp_path_factory):
    """Enough classes for 20 ways in each part of a seeded split, enough images for 5 shots."""
    path = tmp_path_factory.mktemp("data") / "many.npz"
    images = np.random.default_rng(0).integers(0, 256, [130, 6, 16, 16], np.uint8)
    np.savez(path, images=images)
    return f"npz:{path}"


@pytest.mark.parametrize("name", FLAGFILES)
def test_flagfile_runs_three_steps(run, images_in_parts, name, tmp_path):
    """From another folder, by its name; images and network smaller than the paper's."""
    flags = ["--steps=3", "--validate_every=3", "--validation_episodes=2", "--episodes=2"]
    if "sinusoid" not in name:
        flags += [f"--dataset={images_in_parts}", "--image_size=16", "--filters=4", "--queries=1"]
        flags += ["--split=seeded", "--meta_batch=2"]
    result = run(TRAIN, f"--flagfile={name}", *flags, f"--output_dir={tmp_path}/r", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["steps"] == 3
