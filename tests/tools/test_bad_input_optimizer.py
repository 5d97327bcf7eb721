"""Input that the training of an optimizer cannot use: one sentence, status 2, and no traceback."""

import re
import shutil
from pathlib import Path

import pytest
from refusals import assert_refused

from tfmeta.learners import OptimizerLearner
from tfmeta.training import checkpoints
from tfmeta.updates import HierarchicalRNN

TOOLS = Path(__file__).parents[2] / "tools"
TRAIN = TOOLS / "train_optimizer.py"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--update_rule", "adamw"),
        ("--cell", "rnn"),
        ("--meta_loss", "last"),
        ("--unroll_lengths", "endless"),
        ("--unroll", "0"),
        ("--unroll", "-20"),
        ("--problem_steps", "0"),
        ("--steps", "-1"),
        ("--meta_batch", "0"),
        ("--validation_problems", "1"),
        ("--random_scaling", "-3"),
        ("--output_scale", "0"),
        ("--outer_clip", "-1"),
        ("--target_accuracy", "nan"),
        ("--estimator", "guess"),
        ("--noise_pairs", "0"),
        ("--problem_clip", "-1.0"),
        ("--outer_warmup", "-1"),
        ("--outer_average", "1.0"),
        # These are found out when TensorFlow has been loaded.
        ("--noise", "0.1"),
        ("--floor", "0.1"),
        ("--outer_warmup", "100000"),
        ("--unroll", "30"),
        ("--problem", "cubic"),
        pytest.param("--validation_problem", "cubic", marks=pytest.mark.slow),
        ("--target_accuracy", "65.0"),
        ("--seed", str(2**61)),
    ],
)
def test_value(forked, tmp_path, flag, value):
    assert_refused(forked(TRAIN, f"{flag}={value}", cwd=tmp_path), f"{flag}={value}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ("1e-3", "two positive numbers"),
        ("1e-1,1e-3", "two positive numbers"),
        ("low,high", "positive numbers, with commas"),
        ("0,1", "positive numbers, with commas"),
        ("1,inf", "positive numbers, with commas"),
    ],
)
def test_first_rates(forked, tmp_path, rates, said):
    result = forked(TRAIN, "--update_rule=hierarchical_rnn", f"--first_rates={rates}", cwd=tmp_path)
    assert_refused(result, "--first_rates=", said)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--cell=lstm"], "--cell=lstm: --update_rule=lstm has no use for it"),
        (["--first_rates=1e-3,1e-2"], "--first_rates=.*--update_rule=lstm has no use for it"),
        (
            ["--update_rule=hierarchical_rnn", "--log_sign_p=5"],
            "--log_sign_p=5.0: --update_rule=hierarchical_rnn has no use for it",
        ),
        (["--unroll_lengths=random", "--unroll=10"], "--unroll=.*--unroll_lengths=random has no"),
        (["--within_cluster=update"], "--within_cluster=update: there are no clusters"),
        (["--refresh_clusters=2"], "--refresh_clusters=2: there are no clusters"),
        (
            ["--clustering=gradient", "--steps=4", "--refresh_clusters=4"],
            "--refresh_clusters=4: clusters would never be formed anew in 4 steps",
        ),
        (["--estimator=noise_reuse", "--first_order"], "--first_order=true: .*noise_reuse"),
        (
            ["--dataset=npz:none.npz"],
            "--dataset=npz:none.npz: no problem of --problem or .* is on images",
        ),
        (["--min_images=5"], "--min_images=5: no problem of --problem or .* is on images"),
    ],
)
def test_flags_without_effect(forked, tmp_path, flags, sentence):
    result = forked(TRAIN, *flags, cwd=tmp_path)
    assert_refused(result)
    assert re.search(sentence, result.stderr)
    assert not list(tmp_path.iterdir())


def test_a_family_that_is_named_twice(forked, tmp_path):
    """It would count twice, and make intervals too narrow."""
    names = "wichrowska,softmax_regression"
    result = forked(TRAIN, f"--problem={names}", cwd=tmp_path)
    assert_refused(result, f"--problem={names}: softmax_regression_10 is among them twice")


def test_two_bounds_of_the_meta_gradient(forked, tmp_path):
    result = forked(TRAIN, "--outer_clip=1", "--outer_clip_norm=2", cwd=tmp_path)
    assert_refused(result, "--outer_clip_norm=2.0", "--outer_clip is given too")


def test_xla_with_unrolls_of_random_length(forked, tmp_path):
    result = forked(TRAIN, "--xla", "--unroll_lengths=random", cwd=tmp_path)
    assert_refused(result, "--xla=true", "--unroll_lengths=random")


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("npz:missing.npz", "--dataset=npz:missing.npz"),
        ("sinusoid", "--problem=image_network: it needs images"),
    ],
)
def test_problem_on_images_without_images(forked, tmp_path, dataset, sentence):
    result = forked(TRAIN, "--problem=image_network", f"--dataset={dataset}", cwd=tmp_path)
    assert_refused(result, sentence)


@pytest.fixture(scope="module")
def folder(run, small_problems, tmp_path_factory):
    """The output folder of a run; to be left as it is."""
    folder = tmp_path_factory.mktemp("runs") / "lstm"
    result = run(TRAIN, *small_problems, f"--output_dir={folder}")
    assert result.returncode == 0, result.stderr
    return folder


def test_start_where_there_is_no_run(forked, tmp_path):
    result = forked(TRAIN, "--start=runs/none", cwd=tmp_path)
    assert_refused(result, "--start=runs/none")
    assert not list(tmp_path.iterdir())


def test_start_with_a_rule_of_another_kind(forked, folder, tmp_path):
    flags = [f"--start={folder}", "--update_rule=hierarchical_rnn"]
    result = forked(TRAIN, *flags, cwd=tmp_path)
    assert_refused(result, f"--start={folder}", "CoordinatewiseLSTM")
    assert not list(tmp_path.iterdir())


def test_start_with_a_rule_of_other_settings(forked, folder, tmp_path):
    """Its steps would be ten times as long."""
    result = forked(TRAIN, f"--start={folder}", "--output_scale=1", cwd=tmp_path)
    assert_refused(result, f"--start={folder}", "output_scale=0.1", "give the same flags")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flag", ["--update_rule=hierarchical_rnn", "--cell=lstm", "--problem=bowl", "--unroll=1"]
)
def test_resumed_run_is_of_another_kind(forked, folder, flag):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = forked(TRAIN, "--resume", f"--output_dir={folder}", flag)
    assert_refused(result, flag, "--output_dir")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_checkpoint_of_another_rule(forked, folder, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(folder, other)
    learner = OptimizerLearner(HierarchicalRNN())
    learner.compile("adam")
    learner.optimizer.build(learner.trainable_variables)
    checkpoints.Checkpoints(other / "checkpoints").save(learner, 4)
    result = forked(TRAIN, "--resume", "--steps=8", f"--output_dir={other}")
    assert result.returncode == 2, result.stderr
    assert "--output_dir=" in result.stderr and "another" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


def test_folder_of_another_program(forked, folder, tmp_path):
    """Training goes on with no run of train.py, and train.py and evaluate.py with none of ours."""
    (tmp_path / "flags.txt").write_text("--dataset=glyphs\n--ways=5\n--update_rule=lstm\n")
    result = forked(TRAIN, "--resume", f"--output_dir={tmp_path}")
    assert_refused(result, f"--output_dir={tmp_path}", "another program")
    result = forked(TOOLS / "train.py", "--resume", f"--output_dir={folder}")
    assert_refused(result, f"--output_dir={folder}", "another program")
    result = forked(TOOLS / "evaluate.py", f"--output_dir={folder}")
    assert_refused(result, f"--output_dir={folder}", "train.py")


def test_on_two_ranks_the_sentence_appears_once(horovodrun, tmp_path):
    flags = ["--problem=cubic", f"--output_dir={tmp_path / 'run'}"]
    result = horovodrun(2, [TRAIN, *flags])
    assert "Exit code: 2" in result.stderr
    assert result.stderr.count("--problem=cubic") == 1, result.stderr
    assert "tools/program.py" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--clustering=adapted_weights", "--meta_batch=5"], "--clustering=adapted_weights"),
        (["--clustering=gradient", "--num_clusters=6", "--meta_batch=5"], "--num_clusters=6"),
        (["--clustering=type", "--meta_batch=32"], "--meta_batch=32: .*multiple of 5"),
        (["--clustering=type", "--cluster_algorithm=agglomerative"], "--cluster_algorithm=aggl"),
        (["--clustering=label", "--refresh_clusters=2"], "--refresh_clusters=2: .* one label "),
        (["--target_accuracy=101"], "--target_accuracy=101.0: give at most 100"),
        pytest.param(
            ["--clustering=type", "--num_clusters=3", "--meta_batch=5"],
            "--num_clusters=3",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_clusters(forked, tmp_path, flags, sentence):
    result = forked(TRAIN, "--problem=five_types", "--update_rule=lstm", *flags, cwd=tmp_path)
    assert_refused(result)
    assert re.search(sentence, result.stderr)
    assert not list(tmp_path.iterdir())


def test_more_whole_groups_than_clusters(horovodrun, tmp_path):
    result = horovodrun(
        2,
        [TRAIN, "--problem=bowl", "--clustering=type", "--cluster_groups=whole", "--meta_batch=4"]
        + [f"--output_dir={tmp_path / 'run'}"],
    )
    said = result.stdout + result.stderr
    assert (
        said.count("--cluster_groups=whole: each needs a cluster, and there are no more than 1")
        == 1
    ), said
    # The traceback that there is is of horovodrun itself.
    assert "Exit code: 2" in said and "<stderr>:Traceback" not in said
