"""SIGTERM and SIGINT end every program in order; a training goes on as if nothing had been."""

import random
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED = re.compile(r"stopped by (SIGTERM|SIGINT)[^;\n]*; ")


def assert_in_order(said, number_of_ranks):
    """No rank ends by an exception, and at most one speaks; horovodrun itself always shows one."""
    own = r"^\[\d\]<stderr>:" if number_of_ranks > 1 else "^"
    assert not re.search(f"{own}Traceback", said, re.MULTILINE), said
    assert len(STOPPED.findall(said)) <= 1, said


def newest_step(folder):
    return max(int(path.stem[5:]) for path in folder.glob("checkpoints/step_*.keras"))


def test_a_signal_to_one_rank_stops_all_ranks_at_the_same_step(start, small_problems, tmp_path):
    folder = tmp_path / "run"
    # The signal comes between two validations, in which no number of steps is told.
    flags = [*small_problems, "--steps=100000", "--validate_every=200"]
    job = start(2, TOOLS / "train_optimizer.py", *flags, f"--output_dir={folder}")
    job.wait_for(folder / "metrics.jsonl")  # the first has ended
    time.sleep(0.5)
    said = job.end(signal.SIGINT, rank=1)
    assert_in_order(said, 2)
    assert f"--output_dir={folder} --resume" in said
    assert f" after {newest_step(folder)} steps; go on with" in said

    evaluation = start(1, TOOLS / "evaluate_optimizer.py", f"--output_dir={folder}")
    time.sleep(2)
    said = evaluation.end(signal.SIGTERM)
    assert evaluation.process.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "stopped by SIGTERM; nothing was written."
    assert_in_order(said, 1)
    assert not list(folder.rglob("optimizers*")) and not list(folder.rglob(".unfinished*"))


def test_a_benchmark_that_is_stopped_says_how_to_go_on(start, tmp_path):
    job = start(1, TOOLS / "benchmark_clusters.py", f"--output_dir={tmp_path}")
    time.sleep(3)
    said = job.end(signal.SIGTERM)
    assert job.process.returncode == 128 + signal.SIGTERM
    kept = f"what is measured is kept; go on with --output_dir={tmp_path}."
    assert said.splitlines()[-1] == f"stopped by SIGTERM; {kept}"


# Signals in all, over the numbers of ranks and the programs: 50.
CASES = [(1, "train", 12), (1, "train_optimizer", 8), (2, "train", 10), (2, "train_optimizer", 6)]
CASES += [(3, "train", 8), (3, "train_optimizer", 6)]
FLAGS = {
    "train": ["--steps=3000", "--validate_every=200", "--meta_batch=7"],
    "train_optimizer": ["--steps=600", "--validate_every=40"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "name", "signals"), CASES)
def test_signals_at_random_moments_change_no_weight(
    horovodrun, start, small_regression, small_problems, weights_of, ranks, name, signals, tmp_path
):
    """Each to a rank or to what was started, from a second after the start to the end of a run."""
    moments = random.Random(f"{ranks} {name}")
    program = TOOLS / f"{name}.py"
    flags = [*(small_regression if name == "train" else small_problems), *FLAGS[name], "--seed=3"]
    whole = tmp_path / "whole"
    began = time.monotonic()
    finished = horovodrun(ranks, [program, *flags, f"--output_dir={whole}"])
    assert finished.returncode == 0, finished.stderr
    seconds = time.monotonic() - began

    def goes_on(folder):
        return ["--resume"] if (folder / "flags.txt").exists() else flags

    def assert_as_whole(folder):
        [last] = whole.glob(f"checkpoints/step_{newest_step(whole):08d}.keras")
        for path in (last, whole / "checkpoints" / "best.keras"):
            ours = weights_of(folder / path.relative_to(whole))
            for one, other in zip(ours, weights_of(path), strict=True):
                np.testing.assert_array_equal(one, other)

    runs = 0
    for _ in range(signals):
        folder = tmp_path / f"run{runs}"
        job = start(ranks, program, *goes_on(folder), f"--output_dir={folder}")
        time.sleep(moments.uniform(1, seconds))
        said = job.end(moments.choice(SIGNALS), moments.choice([None, *range(ranks)]))
        assert_in_order(said, ranks)
        if (folder / "results.json").exists():
            assert_as_whole(folder)
            runs += 1
    folder = tmp_path / f"run{runs}"
    finished = horovodrun(ranks, [program, *goes_on(folder), f"--output_dir={folder}"])
    assert finished.returncode == 0, finished.stderr
    assert_as_whole(folder)
