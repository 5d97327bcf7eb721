"""A run that was killed, or whose checkpoint was damaged, goes on as if nothing had been."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

TRAIN = Path(__file__).parents[2] / "tools" / "train.py"


def _train(ranks, flags, **kwargs):
    command = [sys.executable, str(TRAIN), *flags]
    if ranks > 1:
        horovodrun = Path(sys.executable).with_name("horovodrun")
        command = [str(horovodrun), "-np", str(ranks), "--start-timeout=300", *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)


def _kill_all(process):
    import psutil

    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
    process.wait()


@pytest.mark.parametrize(
    ("ranks", "data"),
    [
        (1, "images"),
        pytest.param(3, "regression", marks=pytest.mark.slow),
        pytest.param(3, "images", marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(
    horovodrun, small, weights_of, ranks, data, tmp_path
):
    flags = [*small, *(["--dataset=sinusoid"] if data == "regression" else [])]
    flags += ["--steps=60", "--validate_every=10", "--meta_batch=7", "--seed=3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert horovodrun(ranks, [TRAIN, *flags, f"--output_dir={whole}"]).returncode == 0

    process = _train(ranks, [*flags, f"--output_dir={killed}"], start_new_session=True)
    started = time.monotonic()
    while not (killed / "checkpoints" / "step_00000020.keras").exists():
        assert process.poll() is None and time.monotonic() - started < 240
        time.sleep(0.02)
    _kill_all(process)
    assert not (killed / "results.json").exists()

    resumed = horovodrun(ranks, [TRAIN, f"--output_dir={killed}", "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    last = "checkpoints/step_00000060.keras"
    for ours, theirs in zip(weights_of(killed / last), weights_of(whole / last), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_damaged_newest_checkpoint_is_reported_and_the_one_before_used(
    run, small, weights_of, tmp_path
):
    folder = tmp_path / "run"
    flags = ["--dataset=sinusoid", "--steps=6", "--validate_every=2", f"--output_dir={folder}"]
    run(TRAIN, *small, *flags)
    last = folder / "checkpoints" / "step_00000006.keras"
    expected = weights_of(last)
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)

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
