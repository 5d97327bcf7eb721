"""The comparison of a trained optimizer with tuned ones, from end to end."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from refusals import assert_refused

from tfmeta.evaluation.hand_designed import HAND_DESIGNED

TOOLS = Path(__file__).parents[2] / "tools"
TRAIN = TOOLS / "train_optimizer.py"
EVALUATE = TOOLS / "evaluate_optimizer.py"
KEYS = {"final_loss", "ci95", "median", "mean_log10", "mean_log10_ci95", "diverged"}
HELD_OUT = {"held_out_loss", "held_out_loss_ci95", "accuracy", "accuracy_ci95"}


def results_of(result):
    assert result.returncode == 0, result.stderr
    line = result.stdout.strip().splitlines()[-1]
    return json.loads(re.sub(r"^\[0\]<stdout>:", "", line))


@pytest.fixture(scope="module")
def folder(forked, small_problems, tmp_path_factory):
    """The output folder of a training."""
    folder = tmp_path_factory.mktemp("runs") / "lstm"
    result = forked(TRAIN, *small_problems, f"--output_dir={folder}")
    assert result.returncode == 0, result.stderr
    return folder


def test_results_and_picture_of_images(forked, folder, characters):
    """Of another type of problem than the rule was trained on."""
    flags = ["--problem=image_network", f"--dataset={characters}", "--image_size=16"]
    flags += ["--problem_steps=2", "--test_problems=3", "--tuning_problems=2", "--trials=4"]
    evaluated = forked(EVALUATE, *flags, f"--output_dir={folder}")
    results = results_of(evaluated)
    assert evaluated.stderr == ""
    assert json.loads((folder / "optimizers.json").read_text()) == results
    assert results["problem_steps"] == [2] and results["ranks"] == 1
    assert results["rule"] == "CoordinatewiseLSTM" and results["trials"] == 4
    [(family, optimizers)] = results["after"]["2"]["families"].items()
    assert family == "image_network_20"
    assert optimizers.keys() == {"learned", *HAND_DESIGNED}
    for name, measures in optimizers.items():
        assert measures.keys() >= KEYS | HELD_OUT
        assert 0 <= measures["accuracy"] <= 100
        if name != "learned":
            assert measures["numbers"].keys() == HAND_DESIGNED[name].ranges.keys()
    learned = optimizers["learned"]
    best = min(HAND_DESIGNED, key=lambda name: optimizers[name]["tuning_log10"])
    assert learned["best_hand_made"] == best
    difference = learned["mean_log10"] - optimizers[best]["mean_log10"]
    assert learned["paired_log10"] == pytest.approx(difference)
    judged = ("paired_log10", "paired_ci95", "paired_problems", "verdict")
    types = results["after"]["2"]["types"]
    assert types == {"ImageNetworks": {name: learned[name] for name in judged}}
    assert f"2 steps, image_network_20: {learned['verdict']}" in evaluated.stdout
    with Image.open(folder / "optimizers_2.png") as picture:
        assert picture.format == "PNG"
    assert not list(folder.rglob(".*"))
    assert len(json.loads((folder / "rivals.json").read_text())) == 1


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(horovodrun, folder):
    """After two numbers of steps."""
    flags = ["--test_problems=5", "--tuning_problems=5", "--trials=8", "--problem_steps=4,8"]
    flags.append(f"--output_dir={folder}")
    one, two = (
        results_of(horovodrun(ranks, [EVALUATE, *flags, f"--rivals={folder / str(ranks)}.json"]))
        for ranks in (1, 2)
    )
    assert one["problem_steps"] == [4, 8] and list(one["after"]) == ["4", "8"]
    assert (folder / "optimizers_4.png").exists() and (folder / "optimizers_8.png").exists()
    assert (one["ranks"], two["ranks"]) == (1, 2)
    families = [results["after"]["4"]["families"] for results in (one, two)]
    for name, measures in families[0]["quadratic_10"].items():
        other = families[1]["quadratic_10"][name]
        assert other["final_loss"] == pytest.approx(measures["final_loss"], rel=1e-4)
        assert other.get("numbers") == measures.get("numbers")


def test_damaged_file_of_rivals(forked, folder, tmp_path):
    path = tmp_path / "rivals.json"
    path.write_text("[")
    result = forked(EVALUATE, f"--output_dir={folder}", f"--rivals={path}")
    assert_refused(result, f"--rivals={path}", "cannot be read")


def test_no_folder(forked):
    assert_refused(forked(EVALUATE), "--output_dir=None")


def test_folder_without_a_run(forked, tmp_path):
    assert_refused(
        forked(EVALUATE, f"--output_dir={tmp_path}"), f"--output_dir={tmp_path}", "no run"
    )


def test_folder_of_a_few_shot_run(forked, folder, tmp_path):
    """Its flags lack those of an optimizer's training."""
    lines = (folder / "flags.txt").read_text().splitlines(keepends=True)
    (tmp_path / "flags.txt").write_text("".join(line for line in lines if "problem" not in line))
    result = forked(EVALUATE, f"--output_dir={tmp_path}")
    assert_refused(result, f"--output_dir={tmp_path}", "another program")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--problem", "cubic"),
        ("--test_problems", "1"),
        ("--problem_steps", "100,0"),
        ("--trials", "0"),
        ("--min_images", "5"),
    ],
)
def test_value(forked, folder, flag, value):
    result = forked(EVALUATE, f"--output_dir={folder}", f"{flag}={value}")
    assert_refused(result, f"{flag}={value}")
