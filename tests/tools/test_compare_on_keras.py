"""Learned optimizers on Keras models, from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

TOOLS = Path(__file__).parents[2] / "tools"
COMPARE = TOOLS / "compare_on_keras.py"


@pytest.mark.slow
def test_table_and_results(forked, small_problems, characters, tmp_path):
    folder = tmp_path / "lstm"
    trained = forked(TOOLS / "train_optimizer.py", *small_problems, f"--output_dir={folder}")
    assert trained.returncode == 0, trained.stderr
    images = characters.removeprefix("npz:")
    flags = ["--models=regression,image_convolutional", "--seeds=2", "--epochs=1"]
    result = forked(COMPARE, f"--optimizers={folder}", f"--images={images}", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    *table, line = result.stdout.strip().splitlines()
    models = json.loads(line)["models"]
    assert list(models) == ["regression", "image_convolutional"]
    for optimizers in models.values():
        assert list(optimizers) == [str(folder), f"tuned_{folder}", "adam", "tuned_adam"]
        for name in (str(folder), f"tuned_{folder}"):
            assert optimizers[name]["against_tuned_adam"]["paired_problems"] == 2
        assert optimizers[f"tuned_{folder}"]["learning_rate"] in (1, 0.3, 0.1)
    assert "held_out_accuracy" in models["image_convolutional"]["adam"]
    assert len(table) == 2 + 2 * 4


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ([], ["--optimizers=None"]),
        (["--optimizers=nowhere", "--models=digits"], ["--optimizers=nowhere"]),
        (["--optimizers=a", "--models=digit"], ["--models=digit", "digits"]),
        (
            ["--optimizers=a", "--models=image_perceptron"],
            ["--models=image_perceptron", "--images"],
        ),
        (["--optimizers=a", "--images=b.npz"], ["--images=b.npz", "there is no such file"]),
        (["--optimizers=a", "--seeds=1"], ["--seeds=1"]),
        (["--optimizers=lstm", f"--seed={2**32 - 1}"], [f"--seed={2**32 - 1}", "lower it"]),
        (["--optimizers=lstm", "--images=small.npz"], ["--images=small.npz", "6 x 6", "7 x 7"]),
        (
            ["--optimizers=lstm", "--models=digits", "--images=small.npz"],
            ["--images=small.npz", "no model of --models"],
        ),
        (["--optimizers=lstm", "--images=few.npz"], ["--images=few.npz", "4 images", "5"]),
        (["--optimizers=adam"], ["--optimizers=adam", "./adam"]),
        (["--optimizers=lstm,tuned_lstm"], ["--optimizers=tuned_lstm", "./tuned_lstm"]),
    ],
)
def test_bad_input(forked, tmp_path, flags, parts):
    np.savez(tmp_path / "small.npz", images=np.zeros([10, 5, 6, 6], np.uint8))
    np.savez(tmp_path / "few.npz", images=np.zeros([2, 2, 10, 10], np.uint8))
    assert_refused(forked(COMPARE, *flags, cwd=tmp_path), *parts)
