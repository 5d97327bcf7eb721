"""Clustered few-shot runs from the command line, and input that they cannot use."""

import json
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SHORT = ["--steps=6", "--validate_every=3", "--validation_episodes=8", "--episodes=8"]
CLUSTERS = ["--num_clusters=3", "--pretrain_steps=2", "--refresh_clusters=3", "--cluster_pool=30"]

REGRESSION = ["--flagfile=six_families_maml", "--inner_steps=1", "--test_inner_steps=1"]
REGRESSION += ["--clustering=adapted_weights", "--outer_schedule=constant", *CLUSTERS, *SHORT]


def results_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_clustered_regression(forked, tmp_path):
    """With a picture and a table of the clusters; evaluated as it was."""
    results = results_of(forked(TOOLS / "train.py", *REGRESSION, f"--output_dir={tmp_path}/whole"))
    assert 1 <= results["clusters"] <= 3
    assert np.shape(results["cluster_table"])[0] == len(results["families"]) == 6
    assert np.sum(results["cluster_table"]) == 30
    assert -1 <= results["adjusted_rand_index"] <= 1
    assert (tmp_path / "whole" / "clusters.png").exists()
    evaluated = results_of(forked(TOOLS / "evaluate.py", f"--output_dir={tmp_path}/whole"))
    assert evaluated["mse_by_step"] == pytest.approx(results["mse_by_step"], rel=1e-5)


@pytest.mark.slow
def test_a_run_stopped_right_before_clusters_are_formed_anew(forked, tmp_path):
    half = [*REGRESSION, "--steps=5", "--validate_every=5", f"--output_dir={tmp_path}/half"]
    results_of(forked(TOOLS / "train.py", *half))
    again = ["--resume", "--steps=6", f"--output_dir={tmp_path}/half"]
    resumed = results_of(forked(TOOLS / "train.py", *again))
    straight = [*REGRESSION, "--validate_every=5", f"--output_dir={tmp_path}/straight"]
    expected = results_of(forked(TOOLS / "train.py", *straight))
    assert resumed["mse_by_step"] == pytest.approx(expected["mse_by_step"], rel=1e-5)


def test_mixed_images(forked, characters, tmp_path):
    """Gray and colored images of two sizes; clusters by their data set."""
    colors = np.random.default_rng(0).integers(0, 256, [40, 6, 20, 20, 3], np.uint8)
    np.savez(tmp_path / "colors.npz", images=colors)
    flags = [f"--dataset={characters}+npz:{tmp_path}/colors.npz", "--image_size=16"]
    flags += ["--filters=4", "--queries=2", "--meta_batch=4", *SHORT]
    flags += ["--clustering=label", "--num_clusters=2", "--cluster_pool=30"]
    results = results_of(forked(TOOLS / "train.py", *flags, f"--output_dir={tmp_path}/run"))
    assert results["adjusted_rand_index"] == 1.0
    evaluated = results_of(forked(TOOLS / "evaluate.py", f"--output_dir={tmp_path}/run"))
    assert evaluated["accuracy"] == pytest.approx(results["accuracy"])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--clustering=mood"], "--clustering"),
        (["--clustering=type"], "--clustering=type: only optimization problems have types"),
        (["--clustering=gradient", "--num_clusters=0"], "--num_clusters=0"),
        (["--clustering=gradient", "--num_clusters=501"], "--num_clusters=501: there are 500"),
        (["--clustering=gradient", "--pretrain_steps=9000"], "--pretrain_steps=9000: clusters"),
        (
            ["--clustering=gradient", "--steps=10", "--refresh_clusters=10"],
            "--refresh_clusters=10: clusters would never be formed anew in 10 steps",
        ),
        (["--clustering=label"], "--clustering=label: the tasks of sinusoid carry no label"),
        (
            ["--clustering=gradient", "--routing=fit", "--cluster_start=shared"],
            "--routing=fit: one start for all fits alike; give --cluster_start=own",
        ),
        (
            ["--clustering=gradient", "--routing=evidence"],
            "--routing=evidence: --update_rule=gradient_descent gives none; give --update_rule=",
        ),
        (["--update_rule=gauss_newton"], "--update_rule=gauss_newton: its steps are those of the"),
        (["--dataset=glyphs+"], "--dataset"),
    ],
)
def test_bad_input(forked, flags, sentence, tmp_path):
    short = ["--dataset=sinusoid"] if "label" in flags[0] else []
    result = forked(TOOLS / "train.py", *short, *flags, f"--output_dir={tmp_path}/run")
    assert result.returncode == 2, result.stderr
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
