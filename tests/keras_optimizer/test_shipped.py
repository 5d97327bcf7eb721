"""The trained rules that are part of tfmeta."""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tfmeta
from tfmeta import updates
from tfmeta.keras_optimizer import load, shipped
from tfmeta.training.checkpoints import Checkpoints
from tfmeta.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
NAMES = shipped.names()


def test_both_published_optimizers_are_shipped_in_a_few_hundred_kilobytes():
    assert NAMES == ["hierarchical_rnn", "lstm"]
    files = list((ROOT / "tfmeta" / "keras_optimizer" / "trained").iterdir())
    assert len(files) == 2 and sum(path.stat().st_size for path in files) < 300_000


@pytest.mark.parametrize(
    "name, rule",
    [("lstm", updates.CoordinatewiseLSTM), ("hierarchical_rnn", updates.HierarchicalRNN)],
)
def test_a_name_is_a_trained_rule_and_takes_settings(name, rule):
    optimizer = tfmeta.load_optimizer(name, learning_rate=0.5, clipnorm=1.0)
    assert type(optimizer.rule) is rule and optimizer.name == name
    assert (float(optimizer.learning_rate), optimizer.clipnorm) == (0.5, 1.0)
    untrained = rule(**optimizer.rule.get_config())
    untrained.build([])
    for one, other in zip(optimizer.rule.parameters(), untrained.parameters(), strict=True):
        assert np.isfinite(one).all() and np.any(one != other)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
def test_no_policy_rounds_the_parameters(policy):
    expected = tfmeta.load_optimizer("lstm").rule.get_weights()
    try:
        keras.config.set_dtype_policy(policy)
        loaded = tfmeta.load_optimizer("lstm").rule.get_weights()
    finally:
        keras.config.set_dtype_policy("float32")
    for ours, theirs in zip(loaded, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_folder_of_a_shipped_name_is_given_as_a_path(tmp_path, monkeypatch):
    mine = updates.CoordinatewiseLSTM(units=3)
    learner = tfmeta.OptimizerLearner(mine)
    learner.compile("adam")
    Checkpoints(tmp_path / "lstm" / "checkpoints").save_best(learner)
    monkeypatch.chdir(tmp_path)
    assert tfmeta.load_optimizer("lstm").rule.units == 20
    for path in ("./lstm", Path("lstm"), str(tmp_path / "lstm")):
        assert tfmeta.load_optimizer(path).rule.units == 3


@pytest.mark.parametrize("name", ["adam", "LSTM", "best.keras", ""])
def test_a_name_that_is_not_shipped_lists_those_that_are(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tfmeta.ArgumentError) as caught:
        tfmeta.load_optimizer(name)
    assert str(caught.value) == (
        f"path={name}: neither a trained rule of tfmeta's nor a file or folder is there; give "
        "hierarchical_rnn or lstm, or the output folder of tools/train_optimizer.py."
    )


def test_a_run_s_best_rule_is_shipped_with_its_flags(tmp_path, monkeypatch):
    rule = updates.HierarchicalRNN("lstm", (3, 4, 5), seed=7)
    learner = tfmeta.OptimizerLearner(rule)
    learner.compile("adam")
    run = RunFolder(tmp_path / "run")
    Checkpoints(run.checkpoints).save_best(learner)
    run.write_flags(["--cell=lstm", "--seed=7"])
    monkeypatch.setattr(shipped, "_folder", lambda: tmp_path)
    first = load.ship("mine", run.path).read_bytes()
    assert load.ship("mine", run.path).read_bytes() == first
    loaded = shipped.load("mine")
    assert (loaded.cell, loaded.sizes, loaded.seed) == ("lstm", (3, 4, 5), 7)
    for one, other in zip(loaded.parameters(), rule.parameters(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert shipped.flags_of("mine") == ["--cell=lstm", "--seed=7"]
    with pytest.raises(tfmeta.ArgumentError, match="no such checkpoint"):
        load.ship("mine", tmp_path / "nowhere")


FROM_A_WHEEL = """
import sys
import keras
import numpy as np
import tfmeta
assert tfmeta.__file__.startswith(sys.argv[1]), tfmeta.__file__
for name in ("lstm", "hierarchical_rnn"):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
    model.compile(optimizer=tfmeta.load_optimizer(name), loss="mse")
    model.fit(np.ones([8, 3]), np.ones([8, 1]), verbose=0)
    model.save(name + ".keras")
    keras.models.load_model(name + ".keras").fit(np.ones([8, 3]), np.ones([8, 1]), verbose=0)
assert not any(module.startswith("tfmeta.tools") for module in sys.modules)
"""


@pytest.mark.slow
def test_they_load_from_an_installed_wheel_without_tools(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, "."]
    install = ["install", "--no-deps", "--no-index", "--target", tmp_path / "site"]
    # Setuptools leaves a folder build/ beside setup.py.
    copy = tmp_path / "source"
    shutil.copytree(ROOT / "tfmeta", copy / "tfmeta")
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    subprocess.run([*pip, *build], check=True, cwd=copy)
    subprocess.run([*pip, *install, next(tmp_path.glob("*.whl"))], check=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", FROM_A_WHEEL, tmp_path / "site"],
        check=True,
        cwd=folder,
        env={
            "PYTHONPATH": str(tmp_path / "site"),
            "HOME": str(folder),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
    )


@pytest.mark.parametrize("name", ["hierarchical_rnn", pytest.param("lstm", marks=pytest.mark.slow)])
def test_a_model_that_a_shipped_rule_trains_learns(name):
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 8)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input([8]), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tfmeta.load_optimizer(name), loss=loss)
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=64, epochs=10, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.9 * before
