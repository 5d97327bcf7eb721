"""The benchmark: its turns, its workers, and whether both sides compute the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfmeta.tools import benchmark
from tfmeta.tools.rivals.worker import Worker, WorkerError

PROGRAM = Path(__file__).parents[2] / "tools" / "benchmark.py"
RIVAL = os.environ.get("TFMETA_RIVAL_PYTHON")


def run(*flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(PROGRAM), *flags], capture_output=True, text=True)


@pytest.fixture
def setting(tmp_path):
    """Two tasks on noise, in float64."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, [12, 28, 28, 1], np.uint8))
    np.save(tmp_path / "counts.npy", np.full(4, 3))
    return {
        "images": str(tmp_path / "images.npy"),
        "counts": str(tmp_path / "counts.npy"),
        "ways": 3,
        "shots": 1,
        "queries": 2,
        "meta_batch": 2,
        "inner_learning_rate": 0.1,
        "inner_steps": 2,
        "learning_rate": 1e-3,
        "seed": 0,
        "dtype": "float64",
    }


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--workload=chess"], ["--workload=chess", "omniglot_5w1s"]),
        ([], ["--rival_python=None", "BUILD.md"]),
        (["--rival_python=/nowhere/python"], ["--rival_python=/nowhere/python", "cannot be run"]),
        (["--rival_python", sys.executable], ["--rival_python", "no learn2learn"]),
        (["--workload=ranks", "--dataset=nothing"], ["--dataset=nothing", "glyphs"]),
    ],
)
def test_bad_input_is_answered_with_one_sentence(flags, parts):
    answer = run(*flags)
    assert answer.returncode == 2, answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    for part in parts:
        assert part in answer.stderr


def test_sides_take_turns_and_each_goes_first_in_every_other_block():
    calls = []
    seconds = {"ours": [1.0, 2.0, 9.0], "rival": [4.0, 4.0, 6.0]}

    def side(name):
        def measure():
            calls.append(name)
            return seconds[name][calls.count(name) - 1]

        return measure

    results = benchmark.take_turns({name: side(name) for name in seconds}, blocks=3)
    assert calls == ["ours", "rival", "rival", "ours", "ours", "rival"]
    assert results["ratios"] == {"rival": 0.5}
    assert results["spread"] == {"rival": [0.25, 1.5]}
    assert results["milliseconds"] == {"ours": 2000.0, "rival": 4000.0}


def test_our_worker_trains_and_says_what_went_wrong(setting):
    with Worker(sys.executable, "tfmeta_maml") as ours:
        assert "tensorflow" in ours.call("build", **setting)["versions"]
        answer = ours.call("train", steps=2)
        assert answer["seconds"] > 0 and np.isfinite(answer["loss"])
        memory = ours.call("memory")
        assert memory["peak_mb"] > memory["loaded_mb"] > 0
        with pytest.raises(WorkerError, match="no_such_argument"):
            ours.call("train", no_such_argument=1)


@pytest.mark.skipif(RIVAL is None, reason="TFMETA_RIVAL_PYTHON names no Python with learn2learn")
def test_both_sides_compute_the_same_meta_gradient(setting, tmp_path):
    files = {name: str(tmp_path / f"{name}.npz") for name in ("weights", "tasks")}
    gradients, losses = [], []
    for python, name, more in (
        (sys.executable, "tfmeta_maml", {}),
        (RIVAL, "learn2learn_maml", {"threads": 1}),
    ):
        with Worker(python, name) as side:
            side.call("build", **setting, **more)
            path = str(tmp_path / f"{name}.npz")
            losses.append(side.call("gradient", gradient=path, **files)["loss"])
            with np.load(path) as arrays:
                gradients.append([arrays[key] for key in arrays.files])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    largest = max(np.abs(gradient).max() for gradient in gradients[0])
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * largest)


@pytest.mark.slow
def test_ranks_are_measured_by_running_them():
    answer = run("--workload=ranks", "--blocks=1", "--steps=1")
    assert answer.returncode == 0, answer.stderr
    results = json.loads(answer.stdout.splitlines()[-1])
    assert results["workload"] == "ranks"
    assert results["ratios"]["one_rank"] > 0
    assert set(results["peak_memory_mb"]) == {"one_rank", "two_ranks"}
