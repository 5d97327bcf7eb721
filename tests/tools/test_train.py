"""The binaries from end to end: results, files, divergence, and failing ranks."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "tools" / "train.py"
EVALUATE = ROOT / "tools" / "evaluate.py"
KEYS = {"steps", "ranks", "seconds", "tasks_per_second", "loss", "ci95"}


def results_of(result):
    assert result.returncode == 0, result.stderr
    line = result.stdout.strip().splitlines()[-1]
    return json.loads(re.sub(r"^\[0\]<stdout>:", "", line))


def test_a_run_leaves_results_checkpoints_flags_and_a_picture(
    run, forked, small, assert_documented, tmp_path
):
    folder = tmp_path / "run"
    ended = run(TRAIN, *small, f"--output_dir={folder}")
    results = results_of(ended)
    assert results.keys() >= KEYS | {"accuracy", "accuracy_before"}
    assert results["steps"] == 4 and results["ranks"] == 1
    assert json.loads((folder / "results.json").read_text()) == results
    (row,) = map(json.loads, (folder / "metrics.jsonl").open())
    # Eight or more questions, a fifth of which chance answers: no fraction is as large.
    assert row["step"] == 4 and row["training"]["accuracy"] > 1
    found = f"accuracy {row['validation']['accuracy']:.1f} +- {row['validation']['ci95']:.1f} %"
    assert f"step 4: validation {found}\n" in ended.stdout
    assert ended.stderr == ""
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    with Image.open(folder / "report.png") as picture:
        assert picture.format == "PNG"
    assert sorted(p.name for p in folder.glob("checkpoints/*")) == [
        "best.keras",
        "step_00000004.keras",
    ]
    assert not list(folder.rglob(".*"))
    assert_documented(folder)

    # The flagfile makes the same run again.
    again = tmp_path / "again"
    flags = [f"--flagfile={folder / 'flags.txt'}", f"--output_dir={again}"]
    assert results_of(run(TRAIN, *flags))["loss"] == results["loss"]

    # The same tasks, evaluated from the checkpoint.
    evaluated = results_of(forked(EVALUATE, f"--output_dir={folder}"))
    assert evaluated.keys() >= KEYS | {"accuracy", "accuracy_before"}
    assert evaluated["accuracy_by_step"] == results["accuracy_by_step"]
    assert evaluated["loss"] == pytest.approx(results["loss"], rel=1e-6)

    # Other tasks of the same test classes: fewer ways, more shots, and queries as far as they go.
    flags = ["--ways=2", "--shots=2", "--queries=9", "--episodes=50"]
    result = forked(EVALUATE, f"--output_dir={folder}", *flags)
    assert results_of(result)["tested_on"] == "test"
    assert results_of(result)["accuracy_before"] == pytest.approx(50, abs=40)
    assert "2 to learn from and 4, not 9, as queries" in result.stderr


def test_regression(forked, tmp_path):
    folder = tmp_path / "run"
    flags = ["--steps=30", "--validate_every=30", "--validation_episodes=8", "--episodes=20"]
    result = forked(TRAIN, "--flagfile=sinusoid_5shot", *flags, f"--output_dir={folder}")
    assert re.search(r"24 more steps take about \d+ seconds?; for less, lower --", result.stdout)
    results = results_of(result)
    assert re.search(r"24 more steps take about \d+ seconds?; for less, lower --", result.stdout)
    results = results_of(result)
    assert results.keys() >= KEYS | {"mse", "mse_before"}
    evaluated = results_of(forked(EVALUATE, f"--output_dir={folder}", "--test_inner_steps=2"))
    assert len(evaluated["mse_by_step"]) == 3
    assert evaluated["mse_by_step"] == pytest.approx(results["mse_by_step"][:3], rel=1e-5)
    refused = forked(EVALUATE, f"--output_dir={folder}", "--ways=3")
    assert refused.returncode == 2
    assert refused.stderr == "--ways=3: --dataset=sinusoid has no images; leave it out.\n"


def test_divergence_stops_with_the_step_and_keeps_the_last_good_checkpoint(
    forked, weights_of, tmp_path
):
    """An outer rate that soon drives the weights of a linear network out of range."""
    folder = tmp_path / "run"
    flags = ["--dataset=sinusoid", "--inner_learning_rate=10", "--outer_learning_rate=1e9"]
    flags += ["--steps=200", "--validate_every=1", "--validation_episodes=4", "--stacked"]
    result = forked(TRAIN, *flags, f"--output_dir={folder}")
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


@pytest.mark.slow
def test_same_task_results_on_one_rank_and_two(horovodrun, small, tmp_path):
    one = results_of(horovodrun(1, [TRAIN, *small, f"--output_dir={tmp_path / 'one'}"]))
    two = results_of(horovodrun(2, [TRAIN, *small, f"--output_dir={tmp_path / 'two'}"]))
    assert two["ranks"] == 2
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert sorted(p.name for p in (tmp_path / "one").rglob("*")) == sorted(
        p.name for p in (tmp_path / "two").rglob("*")
    )
