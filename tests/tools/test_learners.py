"""Every learner from the command line, and flags that it cannot use."""

import json
from pathlib import Path

import keras
import pytest

from tfmeta.registry import LEARNERS

TOOLS = Path(__file__).parents[2] / "tools"
PUBLISHED = ["--outer_optimizer=sgd", "--outer_learning_rate=1", "--outer_schedule=linear"]


def results_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_run(forked, small, name, tmp_path):
    """It trains, and its best checkpoint loads and evaluates to the same."""
    folder = tmp_path / "run"
    flags = [f"--learner={name}", "--inner_learning_rate=0.01", "--steps=2", "--validate_every=2"]
    flags += PUBLISHED if name == "reptile" else []
    results = results_of(forked(TOOLS / "train.py", *small, *flags, f"--output_dir={folder}"))
    learner = keras.models.load_model(folder / "checkpoints" / "best.keras")
    assert type(learner) is LEARNERS[name]
    evaluated = results_of(forked(TOOLS / "evaluate.py", f"--output_dir={folder}"))
    assert evaluated["accuracy_by_step"] == results["accuracy_by_step"]


def test_flags_of_one_learner_reach_it(forked, small, tmp_path):
    for name, flag, argument, value in (
        ("anil", "--head=conv4,logits", "head", ["conv4", "logits"]),
        ("reptile", "--inner_batch=3", "inner_batch", 3),
    ):
        flags = [f"--learner={name}", flag, "--steps=1", f"--output_dir={tmp_path / name}"]
        results_of(forked(TOOLS / "train.py", *small, *flags))
        learner = keras.models.load_model(tmp_path / name / "checkpoints" / "best.keras")
        assert getattr(learner, argument) == value


def test_the_variance_of_gauss_newton_has_a_flag(forked, tmp_path):
    flags = ["--dataset=sinusoid", "--update_rule=gauss_newton", "--steps=1", "--episodes=2"]
    flags += ["--validation_episodes=2", "--inner_learning_rate=0.5", "--meta_batch=2"]
    for given, variance in (([], 0.5), (["--initial_variance=0.1"], 0.1)):
        folder = tmp_path / str(variance)
        results_of(forked(TOOLS / "train.py", *flags, *given, f"--output_dir={folder}"))
        learner = keras.models.load_model(folder / "checkpoints" / "best.keras")
        assert learner.update_rule.variance == variance


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--learner=protonet"], "--learner=protonet"),
        (["--head=logits"], "--head=logits: --learner=maml has no use for it; leave it out."),
        (["--inner_batch=2"], "--inner_batch=2: --learner=maml has no use for it; leave it out."),
        (["--learner=reptile", "--inner_batch=0"], "--inner_batch=0"),
        (["--learner=reptile", "--inner_batch=99"], "--inner_batch=99: a task has"),
        (["--learner=reptile", "--update_rule=meta_sgd"], "--update_rule=MetaSGD: it has param"),
        (["--learner=anil", "--head=norm"], "--head=norm: the layers with trainable weights are"),
        (["--initial_variance=-1"], "--initial_variance=-1"),
    ],
)
def test_bad_input(forked, small, flags, sentence, tmp_path):
    result = forked(TOOLS / "train.py", *small, *flags, f"--output_dir={tmp_path}/run")
    assert result.returncode == 2, result.stderr
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
