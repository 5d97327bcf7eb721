"""Every flagfile makes a run."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
FLAGFILES = sorted((ROOT / "flags").glob("*.flags"))
OF_OPTIMIZERS = [path for path in FLAGFILES if "\n--problem=" in path.read_text()]


@pytest.fixture(scope="session")
def images_in_parts(tmp_path_factory):
    """Enough classes for 20 ways in each part of a seeded split, enough images for 5 shots."""
    path = tmp_path_factory.mktemp("data") / "many.npz"
    images = np.random.default_rng(0).integers(0, 256, [130, 6, 16, 16], np.uint8)
    np.savez(path, images=images)
    return f"npz:{path}"


# The others differ from these in a few numbers; and building the graphs of five types of problems
# takes most of a minute.
QUICK = ("quickstart", "sinusoid_5shot", "lstm_quadratic")
QUICK += ("six_families_clustered", "lstm_image_network")


def names(paths):
    """Of flagfiles, those that take long marked as slow."""
    return [
        pytest.param(path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in paths
    ]


@pytest.mark.parametrize("name", names(path for path in FLAGFILES if path not in OF_OPTIMIZERS))
def test_flagfile_runs_three_steps(forked, images_in_parts, name, tmp_path):
    """From another folder, by its name; images and network smaller than the paper's."""
    flags = ["--steps=3", "--validate_every=3", "--validation_episodes=2", "--episodes=2"]
    if "clustered" in name:
        flags += ["--cluster_pool=20", "--pretrain_steps=1"]
    if "six_families" not in name and "sinusoid" not in name:
        sets = f"{images_in_parts}+{images_in_parts}" if "mixed" in name else images_in_parts
        flags += [f"--dataset={sets}", "--image_size=16", "--filters=4", "--queries=1"]
        flags += ["--split=seeded", "--meta_batch=2"]
    result = forked(
        TOOLS / "train.py", f"--flagfile={name}", *flags, f"--output_dir={tmp_path}/r", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["steps"] == 3


@pytest.mark.parametrize("name", names(OF_OPTIMIZERS))
def test_flagfile_runs_three_meta_iterations(forked, images_in_parts, name, tmp_path):
    """Shorter unrolls of fewer problems than the paper's, and smaller images.

    One that goes on with the rule of another is given that in the folder that it names.
    """
    starts = re.findall(r"^--start=(.*)$", (ROOT / "flags" / f"{name}.flags").read_text(), re.M)
    runs = [(Path(start).name, Path(start)) for start in starts] + [(name, Path("r"))]
    flags = ["--steps=3", "--validate_every=3", "--meta_batch=2", "--outer_warmup=1"]
    flags += ["--validation_problems=2", "--unroll_lengths=fixed", "--problem_steps=4"]
    flags += ["--unroll=2"]
    if "image" in name:
        flags += [f"--dataset={images_in_parts}", "--image_size=16"]
    if "hierarchical" in name:  # fewer families, whose graphs are not compiled
        flags += ["--problem=five_types", "--meta_batch=5", "--noxla"]
    for flagfile, run in runs:
        result = forked(
            TOOLS / "train_optimizer.py",
            f"--flagfile={flagfile}",
            *flags,
            f"--output_dir={run}",
            cwd=tmp_path,
        )
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout.splitlines()[-1])["steps"] == 3
