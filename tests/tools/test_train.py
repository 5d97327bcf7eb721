"""The binaries from end to end: results, files, resuming, divergence, and failing ranks."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tfmeta  # noqa: F401 -- its classes, for Keras to load

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "tools" / "train.py"
EVALUATE = ROOT / "tools" / "evaluate.py"
FLAGFILES = sorted(path.stem for path in (ROOT / "flags").glob("*.flags"))
KEYS = {"steps", "ranks", "seconds", "tasks_per_second", "loss", "ci95"}


def results_of(result):
    assert result.returncode == 0, result.stderr
    line = result.stdout.strip().splitlines()[-1]
    return json.loads(re.sub(r"^\[0\]<stdout>:", "", line))


def weights_of(path):
    learner = keras.models.load_model(path)
    return [np.asarray(v) for v in [*learner.variables, *learner.optimizer.variables]]


def test_a_run_leaves_results_checkpoints_flags_and_a_picture(run, small, tmp_path):
    folder = tmp_path / "run"
    results = results_of(run(TRAIN, *small, f"--output_dir={folder}"))
    assert results.keys() >= KEYS | {"accuracy", "accuracy_before"}
    assert results["steps"] == 4 and results["ranks"] == 1
    assert json.loads((folder / "results.json").read_text()) == results
    assert [row["step"] for row in map(json.loads, (folder / "metrics.jsonl").open())] == [4]
    with Image.open(folder / "report.png") as picture:
        assert picture.format == "PNG"
    assert sorted(p.name for p in folder.glob("checkpoints/*")) == [
        "best.keras",
        "step_00000004.keras",
    ]
    assert not list(folder.rglob(".*"))

    # The flagfile makes the same run again.
    again = tmp_path / "again"
    flags = [f"--flagfile={folder / 'flags.txt'}", f"--output_dir={again}"]
    assert results_of(run(TRAIN, *flags))["loss"] == results["loss"]

    # The same tasks, evaluated from the checkpoint.
    evaluated = results_of(run(EVALUATE, f"--output_dir={folder}"))
    assert evaluated.keys() >= KEYS | {"accuracy", "accuracy_before"}
    assert evaluated["accuracy_by_step"] == results["accuracy_by_step"]
    assert evaluated["loss"] == pytest.approx(results["loss"], rel=1e-6)


def test_regression(run, tmp_path):
    folder = tmp_path / "run"
    flags = ["--steps=30", "--validate_every=30", "--validation_episodes=8", "--episodes=20"]
    results = results_of(run(TRAIN, "--flagfile=sinusoid_5shot", *flags, f"--output_dir={folder}"))
    assert results.keys() >= KEYS | {"mse", "mse_before"}
    evaluated = results_of(run(EVALUATE, f"--output_dir={folder}", "--test_inner_steps=2"))
    assert len(evaluated["mse_by_step"]) == 3
    assert evaluated["mse_by_step"] == pytest.approx(results["mse_by_step"][:3], rel=1e-5)


@pytest.mark.parametrize("name", FLAGFILES)
def test_flagfile_runs_three_steps(run, images_in_parts, name, tmp_path):
    """From another folder, by its name; images and network smaller than the paper's."""
    flags = ["--steps=3", "--validate_every=3", "--validation_episodes=2", "--episodes=2"]
    if "sinusoid" not in name:
        flags += [f"--dataset={images_in_parts}", "--image_size=16", "--filters=4", "--queries=1"]
        flags += ["--split=seeded", "--meta_batch=2"]
    result = run(TRAIN, f"--flagfile={name}", *flags, f"--output_dir={tmp_path}/r", cwd=tmp_path)
    assert results_of(result)["steps"] == 3


@pytest.fixture(scope="session")
def images_in_parts(tmp_path_factory):
    """Enough classes for 20 ways in each part of a seeded split, enough images for 5 shots."""
    path = tmp_path_factory.mktemp("data") / "many.npz"
    images = np.random.default_rng(0).integers(0, 256, [130, 6, 16, 16], np.uint8)
    np.savez(path, images=images)
    return f"npz:{path}"


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


@pytest.mark.parametrize("ranks", [1, 3])
def test_killed_and_resumed_equals_uninterrupted(horovodrun, small, ranks, tmp_path):
    flags = [*small, "--steps=60", "--validate_every=10", "--meta_batch=7", "--seed=3"]
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


def test_damaged_newest_checkpoint_is_reported_and_the_one_before_used(run, small, tmp_path):
    folder = tmp_path / "run"
    run(TRAIN, *small, "--steps=6", "--validate_every=2", f"--output_dir={folder}")
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


def test_divergence_stops_with_the_step_and_keeps_the_last_good_checkpoint(run, tmp_path):
    """An outer rate that soon drives the weights of a linear network out of range."""
    folder = tmp_path / "run"
    flags = ["--dataset=sinusoid", "--inner_learning_rate=10", "--outer_learning_rate=1e9"]
    flags += ["--steps=200", "--validate_every=1", "--validation_episodes=4", "--stacked"]
    result = run(TRAIN, *flags, f"--output_dir={folder}")
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr
    step = int(re.search(r"at step (\d+)", result.stderr)[1])
    for path in folder.glob("checkpoints/*"):
        assert all(np.isfinite(values).all() for values in weights_of(path))
    steps = [int(re.sub(r"\D", "", path.name)) for path in folder.glob("checkpoints/step_*")]
    assert all(saved <= step for saved in steps)


def test_exception_of_one_rank_ends_all_with_its_message_once(horovodrun, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "from tfmeta.tools import program\n"
        "def main():\n"
        "    import keras, tfmeta\n"
        "    tfmeta.init()\n"
        "    rank = tfmeta.distributed.rank()\n"
        "    learner = tfmeta.MAML(tfmeta.models.mlp((1,), 1))\n"
        "    learner.compile('sgd', loss='mse')\n"
        "    class Fault(keras.callbacks.Callback):\n"
        "        def on_train_batch_end(self, batch, logs=None):\n"
        "            if rank == 1 and batch == 3:\n"
        "                raise RuntimeError('the cable is out')\n"
        "    tasks = tfmeta.Sinusoids(5, 5).batches(4, 0, 100000, rank, 2)\n"
        "    learner.fit(tasks, callbacks=[Fault()])\n"
        "program.start(main)\n"
    )
    started = time.monotonic()
    result = horovodrun(2, [program], timeout=120)
    assert result.returncode != 0
    assert time.monotonic() - started < 120
    assert result.stderr.count("RuntimeError: the cable is out") == 1, result.stderr
    assert "HorovodInternalError" not in result.stderr


def test_same_task_results_on_one_rank_and_two(horovodrun, small, tmp_path):
    one = results_of(horovodrun(1, [TRAIN, *small, f"--output_dir={tmp_path / 'one'}"]))
    two = results_of(horovodrun(2, [TRAIN, *small, f"--output_dir={tmp_path / 'two'}"]))
    assert two["ranks"] == 2
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert sorted(p.name for p in (tmp_path / "one").rglob("*")) == sorted(
        p.name for p in (tmp_path / "two").rglob("*")
    )
