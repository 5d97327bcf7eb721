"""The benchmark: its turns, its workers, and whether both sides compute the same."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tfmeta.tools.benchmarks.against_itself import FAMILIES
from tfmeta.tools.benchmarks.against_rivals import both_gradients
from tfmeta.tools.benchmarks.asking import Worker, WorkerError
from tfmeta.tools.benchmarks.comparisons import COMPARISONS
from tfmeta.tools.benchmarks.loading import loading
from tfmeta.tools.benchmarks.turns import take_turns

PROGRAM = Path(__file__).parents[2] / "tools" / "benchmark.py"
RIVAL = os.environ.get("TFMETA_RIVAL_PYTHON")


@pytest.fixture
def noise(tmp_path):
    """Files of ten classes of images of noise."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, [50, 28, 28, 1], np.uint8))
    np.save(tmp_path / "counts.npy", np.full(10, 5))
    return {name: str(tmp_path / f"{name}.npy") for name in ("images", "counts")}


@pytest.fixture
def maml(noise):
    """Two tasks on noise, in float64."""
    return {
        **noise,
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


@pytest.fixture
def lstm(noise):
    """Four steps of three quadratics, or of a network on noise, in float64."""

    def setting(problem):
        quadratics = problem == "quadratics"
        return {
            **({"images": None, "counts": None} if quadratics else noise),
            "meta_batch": 3 if quadratics else 1,
            "unroll": 4,
            "unrolls": 2,
            "learning_rate": 1e-3,
            "seed": 0,
            "dtype": "float64",
        }

    return setting


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--workload=chess"], ["--workload=chess", "omniglot_5w1s"]),
        ([], ["--rival_python=None", "BUILD.md"]),
        (["--rival_python=/nowhere/python"], ["--rival_python=/nowhere/python", "cannot be run"]),
        (["--rival_python", sys.executable], ["--rival_python", "no learn2learn"]),
        (
            ["--workload=lstm_network", "--rival_python", sys.executable],
            ["--rival_python", "no torch"],
        ),
        (["--workload=ranks", "--dataset=nothing"], ["--dataset=nothing", "glyphs"]),
    ],
)
def test_bad_input_is_answered_with_one_sentence(forked, flags, parts):
    answer = forked(PROGRAM, *flags)
    assert answer.returncode == 2, answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    for part in parts:
        assert part in answer.stderr


def test_sides_take_turns_in_an_order_that_is_turned_round_in_every_other_block():
    calls = []
    seconds = {"ours": [1.0, 2.0, 9.0], "rival": [4.0, 4.0, 6.0], "other": [1.0, 1.0, 1.0]}

    def side(name):
        def measure():
            calls.append(name)
            return seconds[name][calls.count(name) - 1]

        return measure

    results = take_turns({name: side(name) for name in seconds}, blocks=3)
    there = ["ours", "rival", "other"]
    assert calls == [*there, *reversed(there), *there]
    assert results["ratios"] == {"rival": 0.5, "other": 2.0}
    assert results["spread"] == {"rival": [0.25, 1.5], "other": [1.0, 9.0]}
    assert results["milliseconds"] == {"ours": 2000.0, "rival": 4000.0, "other": 1000.0}


@pytest.mark.programs
def test_our_maml_trains_and_says_what_went_wrong(maml):
    with Worker("jobs.maml") as ours:
        assert "tensorflow" in ours.call("build", **maml)["versions"]
        answer = ours.call("train", steps=2)
        assert answer["seconds"] > 0 and np.isfinite(answer["loss"])
        memory = ours.call("memory")
        assert memory["peak_mb"] > memory["loaded_mb"] > 0
        with pytest.raises(WorkerError, match="no_such_argument"):
            ours.call("train", no_such_argument=1)


@pytest.mark.programs
def test_a_worker_that_ends_is_an_error():
    with (
        Worker("no_such_module") as worker,
        pytest.raises(WorkerError, match="no_such_module ended with status 1"),
    ):
        worker.call("build")


@pytest.mark.programs
@pytest.mark.skipif(RIVAL is None, reason="TFMETA_RIVAL_PYTHON names no Python with learn2learn")
def test_both_sides_compute_the_same_meta_gradient_of_maml(maml, tmp_path):
    (our_loss, ours), (loss, theirs) = both_gradients(
        COMPARISONS["omniglot_5w1s"], RIVAL, tmp_path, maml
    )
    assert our_loss == pytest.approx(loss, rel=1e-6)
    largest = max(np.abs(gradient).max() for gradient in theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * largest)


@pytest.mark.programs
@pytest.mark.skipif(RIVAL is None, reason="TFMETA_RIVAL_PYTHON names no Python with torch")
@pytest.mark.parametrize("workload", ["quadratics", "network"])
def test_both_sides_compute_the_same_meta_gradient_of_the_lstm(workload, lstm, tmp_path):
    (our_loss, ours), (loss, theirs) = both_gradients(
        COMPARISONS[f"lstm_{workload}"], RIVAL, tmp_path, lstm(workload)
    )
    assert our_loss == pytest.approx(loss, rel=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.slow
@pytest.mark.programs
def test_our_lstm_trains(lstm):
    with Worker("jobs.lstm") as ours:
        ours.call("build", **lstm("quadratics"))
        answer = ours.call("train", steps=1)
        assert answer["seconds"] > 0 and np.isfinite(answer["loss"])


@pytest.mark.slow
def test_ranks_are_measured_by_running_them(run, horovodrun):
    answer = run(PROGRAM, "--workload=ranks", "--blocks=1", "--steps=1")
    assert answer.returncode == 0, answer.stderr
    results = json.loads(answer.stdout.splitlines()[-1])
    assert results["workload"] == "ranks"
    assert results["ratios"]["one_rank"] > 0
    assert set(results["peak_memory_mb"]) == {"one_rank", "two_ranks"}


@pytest.mark.slow
def test_the_hierarchical_rnn_is_measured_for_every_type_of_problem(run):
    answer = run(PROGRAM, "--workload=hierarchical_rnn", "--blocks=1", "--steps=1")
    assert answer.returncode == 0, answer.stderr
    families = json.loads(answer.stdout.splitlines()[-1])["families"]
    assert set(families) == set(FAMILIES)
    for results in families.values():
        assert set(results["milliseconds"]) == {"xla", "stacked", "one_by_one"}
        assert min(results["milliseconds"].values()) > 0


@pytest.mark.slow
@pytest.mark.programs
def test_loading_is_measured_in_memory_and_from_a_file(tmp_path):
    (measured,) = loading(tmp_path, blocks=1, steps=1, counts=(500,)).values()
    assert set(measured["seconds"]) == {"memory", "cache", "cached"}
    assert measured["array_mb"] == pytest.approx(500 * 84 * 84 * 3 / 2**20)
    assert measured["peak_mb"]["cached"] < measured["array_mb"]
    assert measured["ratios"]["in_memory"] > 0


@pytest.mark.slow
def test_steps_of_shipped_optimizers_are_measured_beside_adam_s():
    from tfmeta.tools.benchmarks.optimizer_steps import optimizer_steps

    found = optimizer_steps(blocks=1, steps=1)
    assert {name: one["numbers"] for name, one in found.items()} == {
        "hierarchical_rnn": 24,
        "lstm": 80,
    }
    assert all(one["times_adam"] > 1 and one["nanoseconds"] > 1 for one in found.values())
