"""However many ranks share a meta-batch of 7 tasks, what is learned is the same.

Each number of ranks is started once and does everything; see ranks/learn.py.
"""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest

import tfmeta.learners  # noqa: F401  a saved learner is found by its registered name

PROGRAM = Path(__file__).parent / "learn.py"
SEVERAL = [2, *(pytest.param(ranks, marks=pytest.mark.slow) for ranks in (3, 4))]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture(scope="module")
def learned(horovodrun, tmp_path_factory):
    """The folder and the results of so many ranks: each an array with a leading rank axis."""

    @functools.cache
    def learned(ranks):
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        finished = horovodrun(ranks, [PROGRAM, folder])
        assert finished.returncode == 0, finished.stderr
        assert "loss" not in finished.stdout, "verbose=0 is to show no progress"
        with np.load(folder / "results.npz") as results:
            return folder, dict(results)

    return learned


def assert_equal(several, alone, tolerance):
    np.testing.assert_allclose(several, alone, rtol=0, atol=tolerance * np.abs(alone).max())


@pytest.mark.parametrize("result", ["gradients", "weights", "logs"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("ranks", SEVERAL)
def test_ranks_learn_what_one_learns(learned, ranks, dtype, result):
    name = f"{dtype} {result}"
    several, alone = learned(ranks)[1][name], learned(1)[1][name]
    assert len(several) == ranks
    assert (several == several[0]).all(), "the ranks differ from each other"
    assert_equal(several[0], alone[0], TOLERANCE[dtype])


@pytest.mark.parametrize("ranks", [1, *SEVERAL])
def test_early_stopping_ends_all_ranks_at_once(learned, ranks):
    _, results = learned(ranks)
    epochs = results["callbacks logs"].shape[-1]
    assert 1 < epochs < 10
    for result in ("logs", "weights"):
        several = results[f"callbacks {result}"]
        assert (several == several[0]).all(), "the ranks differ from each other"
        assert_equal(several[0], learned(1)[1][f"callbacks {result}"][0], 1e-9)


@pytest.mark.parametrize("ranks", [1, *SEVERAL])
def test_callbacks_write_on_rank_0_alone(learned, ranks):
    folder, _ = learned(ranks)
    assert sorted(path.name for path in folder.iterdir()) == ["rank0", "results.npz"]
    assert list((folder / "rank0" / "logs").rglob("events.*"))
    learner = keras.models.load_model(folder / "rank0" / "best.keras")
    assert isinstance(learner, tfmeta.MAML)
