"""A run that was killed, or whose checkpoint was damaged, goes on as if nothing had been."""

import functools
import json
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

TRAIN = Path(__file__).parents[2] / "tools" / "train.py"
TRAIN_OPTIMIZER = TRAIN.with_name("train_optimizer.py")
LAST = "checkpoints/step_00000200.keras"


@pytest.fixture(scope="module")
def flags(small, small_regression):
    """Those of a run on images, and on functions, by the kind of its data."""
    more = ["--steps=200", "--validate_every=40", "--meta_batch=7", "--seed=3"]
    return {"images": [*small, *more], "functions": [*small_regression, *more]}


@pytest.fixture(scope="module")
def whole(horovodrun, flags, tmp_path_factory):
    """The folder of an uninterrupted run on so many ranks and such data."""

    @functools.cache
    def whole(ranks, data):
        folder = tmp_path_factory.mktemp("runs") / "whole"
        finished = horovodrun(ranks, [TRAIN, *flags[data], f"--output_dir={folder}"])
        assert finished.returncode == 0, finished.stderr
        return folder

    return whole


CASES = pytest.mark.parametrize(
    ("ranks", "data"),
    [
        (1, "images"),
        pytest.param(3, "functions", marks=pytest.mark.slow),
        pytest.param(3, "images", marks=pytest.mark.slow),
    ],
)


@pytest.fixture
def begun(start, flags, tmp_path):
    """Starts a run; gives it, and its folder, once it has kept so many steps."""

    def begun(ranks, data, step):
        folder = tmp_path / "run"
        job = start(ranks, TRAIN, *flags[data], f"--output_dir={folder}")
        job.wait_for(folder / "checkpoints" / f"step_{step:08d}.keras")
        return job, folder

    return begun


def assert_goes_on_as(horovodrun, ranks, folder, whole, weights_of, *flags):
    resumed = horovodrun(ranks, [TRAIN, f"--output_dir={folder}", "--resume", *flags])
    assert resumed.returncode == 0, resumed.stderr
    for name in (LAST, "checkpoints/best.keras"):
        for ours, theirs in zip(weights_of(folder / name), weights_of(whole / name), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@CASES
def test_killed_and_resumed_equals_uninterrupted(
    horovodrun, forked, begun, flags, whole, weights_of, ranks, data
):
    """Nobody else may train in the folder before the job is dead, and anybody after that."""
    job, folder = begun(ranks, data, step=80)
    trains = job.rank(0)
    trains.suspend()
    for more in (flags[data], ["--resume"]):
        refused = forked(TRAIN, *more, f"--output_dir={folder}")
        assert refused.returncode == 2
        [sentence] = refused.stderr.splitlines()
        assert f"--output_dir={folder}: process {trains.pid} on {socket.gethostname()}" in sentence
    job.kill()
    assert not (folder / "results.json").exists()
    assert_goes_on_as(horovodrun, ranks, folder, whole(ranks, data), weights_of)


@CASES
def test_stopped_and_resumed_equals_uninterrupted(
    horovodrun, begun, whole, weights_of, characters, ranks, data
):
    """By a signal to the program or to the launcher of its ranks, between two validations."""
    job, folder = begun(ranks, data, step=80)
    time.sleep(0.2)
    said = job.end(signal.SIGTERM)
    assert said.count(f"; go on with --output_dir={folder} --resume.\n") == 1, said
    # The folder of a run may be moved, and so may the data.
    moved = folder.rename(folder.parent / "moved")
    more = []
    if data == "images":
        shutil.copy(characters.removeprefix("npz:"), moved.parent / "elsewhere.npz")
        more = [f"--dataset=npz:{moved.parent / 'elsewhere.npz'}"]
    assert_goes_on_as(horovodrun, ranks, moved, whole(ranks, data), weights_of, *more)


def test_a_validation_that_was_given_up_is_made_by_all_ranks_of_the_checkpoint(
    horovodrun, small_problems, tmp_path
):
    folder = tmp_path / "run"
    flags = [*small_problems, "--steps=20", "--validate_every=10", "--outer_learning_rate=0.03"]
    finished = horovodrun(2, [TRAIN_OPTIMIZER, *flags, f"--output_dir={folder}"])
    assert finished.returncode == 0, finished.stderr
    whole = validations(folder)
    assert abs(whole[0]["log_ratio"] - whole[1]["log_ratio"]) > 1e-3

    metrics = folder / "metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    shutil.copy(folder / "checkpoints/step_00000010.keras", folder / "checkpoints/best.keras")
    resumed = horovodrun(2, [TRAIN_OPTIMIZER, f"--output_dir={folder}", "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert validations(folder) == whole


def validations(folder):
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(row)["validation"] for row in rows]


def test_damaged_newest_checkpoint_is_reported_and_the_one_before_used(
    run, small_regression, weights_of, tmp_path
):
    folder = tmp_path / "run"
    flags = ["--steps=6", "--validate_every=2", f"--output_dir={folder}"]
    run(TRAIN, *small_regression, *flags)
    last = folder / "checkpoints" / "step_00000006.keras"
    expected = weights_of(last)
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)

    kept = (folder / "flags.txt").read_bytes()
    result = run(TRAIN, f"--output_dir={folder}", "--resume", "--steps=4")
    assert result.returncode == 2
    assert result.stderr.endswith(
        f"--steps=4: {folder} has taken 6 already; give at least as many, or train anew in another "
        "folder.\n"
    )
    assert (folder / "flags.txt").read_bytes() == kept

    result = run(TRAIN, f"--output_dir={folder}", "--resume")
    assert result.returncode == 0
    assert result.stderr.count(str(last)) == 1 and "damaged" in result.stderr
    for ours, theirs in zip(weights_of(last), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    for path in folder.glob("checkpoints/step_*"):
        path.write_bytes(b"")
    result = run(TRAIN, f"--output_dir={folder}", "--resume")
    assert result.returncode == 2
    assert "all of its checkpoints are damaged" in result.stderr
