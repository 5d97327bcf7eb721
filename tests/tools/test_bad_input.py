"""Input that cannot be used: one sentence that names flag and value, status 2, and no traceback."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfmeta

TOOLS = Path(__file__).parents[2] / "tools"
TRAIN = TOOLS / "train.py"
EVALUATE = TOOLS / "evaluate.py"


def assert_refused(result, flag, value, status=2):
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert f"{flag}={value}" in result.stderr


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--ways", "1"),
        ("--ways", "two"),
        ("--shots", "0"),
        ("--queries", "-1"),
        ("--steps", "0"),
        ("--meta_batch", "0"),
        ("--inner_steps", "0"),
        ("--test_inner_steps", "0"),
        ("--inner_learning_rate", "0"),
        ("--inner_learning_rate", "-0.1"),
        ("--inner_learning_rate", "nan"),
        ("--outer_learning_rate", "inf"),
        ("--episodes", "1"),
        ("--batch_norm", "frozen"),
        ("--first_order", "perhaps"),
        ("--flagfile", "no_such_experiment"),
        ("--image_size", "1000000000"),
        ("--dataset", "imagenet21k"),
        ("--dataset", "npz:missing.npz"),
        ("--dataset", "folder:missing"),
        ("--dataset", "tfds:no_such_set"),
    ],
)
def test_value(forked, tmp_path, flag, value):
    assert_refused(forked(TRAIN, f"{flag}={value}", cwd=tmp_path), flag, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dataset", "flag", "value", "word"),
    [
        ("sinusoid", "--min_images", "5", "has no images"),
        ("sinusoid", "--image_size", "84", "has no images"),
        ("sinusoid", "--split", "alphabets", "has no images"),
        ("six_families", "--ways", "5", "has no images"),
        ("sinusoid", "--filters", "32", "the network of --dataset=sinusoid has no use for it"),
        ("sinusoid", "--batch_norm", "running", "the network of --dataset=sinusoid has no use"),
        ("glyphs", "--hidden", "100", "the network of --dataset=glyphs has no use for it"),
        ("glyphs", "--label_key", "alphabet", "is not of TensorFlow Datasets"),
        ("glyphs+glyphs", "--tfds_splits", "train", "is not of TensorFlow Datasets"),
    ],
)
def test_flag_that_says_nothing_to_the_data(forked, tmp_path, dataset, flag, value, word):
    result = forked(TRAIN, f"--dataset={dataset}", f"{flag}={value}", cwd=tmp_path)
    assert_refused(result, flag, value)
    assert word in result.stderr and "leave it out." in result.stderr


def test_unknown_flag(forked):
    result = forked(TRAIN, "--wayz=5")
    assert result.returncode == 2
    assert re.fullmatch(r".*'wayz'.*ways.*--help\.\n", result.stderr)


def test_word_that_is_no_flag(forked):
    result = forked(TRAIN, "quickstart")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "quickstart" in result.stderr


def _class_of_images(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (16, 16), 20 * number).save(folder / f"{number}.png")


@pytest.fixture
def images(tmp_path):
    """A folder of 25 classes with three images each."""
    for name in range(25):
        _class_of_images(tmp_path / "images" / f"class{name:02d}", 3)
    return tmp_path / "images"


def test_empty_folder(forked, tmp_path):
    result = forked(TRAIN, f"--dataset=folder:{tmp_path}")
    assert_refused(result, "--dataset", f"folder:{tmp_path}")


def test_fewer_classes_than_ways(forked, images, tmp_path):
    flags = [f"--dataset=folder:{images}", "--queries=1", f"--output_dir={tmp_path / 'run'}"]
    assert_refused(forked(TRAIN, *flags, "--ways=26"), "--ways", 26)


def test_class_with_fewer_images_than_shots_and_a_query(forked, images, tmp_path):
    flags = [f"--dataset=folder:{images}", "--ways=2", f"--output_dir={tmp_path / 'run'}"]
    result = forked(TRAIN, *flags, "--shots=3", "--queries=2")
    assert_refused(result, "--shots", 3)
    assert "class" in result.stderr


@pytest.mark.parametrize("content", [b"no image at all", None])
def test_unreadable_or_truncated_image(forked, images, content):
    victim = images / "class07" / "1.png"
    if content is None:
        Image.effect_noise((64, 64), 50).save(victim)
        content = victim.read_bytes()[:-600]
    victim.write_bytes(content)
    result = forked(TRAIN, f"--dataset=folder:{images}")
    assert_refused(result, "--dataset", f"folder:{images}")
    assert str(victim) in result.stderr


_GOOD = np.zeros([8, 4, 12, 12], np.uint8)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"pictures": _GOOD}, "images"),
        ({"images": np.array([[None]], object)}, "pickle"),
        ({"images": _GOOD[0]}, "shape"),
        ({"images": _GOOD.astype(np.int32)}, "int32"),
        ({"images": np.full([8, 4, 12, 12], np.nan, np.float32)}, "finite"),
    ],
)
def test_npz(forked, tmp_path, arrays, word):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    result = forked(TRAIN, f"--dataset=npz:{path}")
    assert_refused(result, "--dataset", f"npz:{path}")
    assert word in result.stderr


def test_truncated_npz(forked, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, images=_GOOD)
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(forked(TRAIN, f"--dataset=npz:{path}"), "--dataset", f"npz:{path}")


def test_output_folder_that_cannot_be_written(forked, small, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / "run"
    assert_refused(forked(TRAIN, *small, f"--output_dir={folder}"), "--output_dir", folder)


def test_resume_of_a_run_whose_flags_are_damaged(forked, tmp_path):
    (tmp_path / "flags.txt").write_bytes(b"--ways=5\xff\n--dataset=glyphs\n")
    result = forked(TRAIN, "--resume", f"--output_dir={tmp_path}")
    assert_refused(result, "--output_dir", tmp_path)
    assert "ways" in result.stderr and "flags.txt" in result.stderr


def test_resume_of_a_run_whose_flags_are_out_of_range(forked, small, tmp_path):
    assert forked(TRAIN, *small, f"--output_dir={tmp_path}").returncode == 0
    flags = tmp_path / "flags.txt"
    flags.write_text(flags.read_text().replace("--inner_steps=", "--inner_steps=-"))
    result = forked(TRAIN, f"--output_dir={tmp_path}", "--resume")
    assert_refused(result, "--output_dir", tmp_path)
    assert "inner_steps" in result.stderr and "flags.txt" in result.stderr


def test_resume_without_a_run(forked, small, tmp_path):
    folder = tmp_path / "run"
    result = forked(TRAIN, *small, "--resume", f"--output_dir={folder}")
    assert_refused(result, "--output_dir", folder)
    assert_refused(forked(EVALUATE, f"--output_dir={folder}"), "--output_dir", folder)


def test_existing_run(run, forked, small, tmp_path):
    """Another run's folder and other model flags are forked; what is there stays as it is."""
    folder = tmp_path / "run"
    assert run(TRAIN, *small, f"--output_dir={folder}").returncode == 0
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    result = forked(TRAIN, *small, f"--output_dir={folder}")
    assert_refused(result, "--output_dir", folder)
    assert "--resume" in result.stderr

    result = forked(TRAIN, f"--output_dir={folder}", "--resume", "--filters=8")
    assert_refused(result, "--filters", 8)
    result = forked(EVALUATE, f"--output_dir={folder}", "--ways=6")
    assert_refused(result, "--ways", 6)
    assert "at most 5" in result.stderr
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_run_of_a_later_version(forked, tmp_path):
    """Earlier ones are read, also those from before runs said what made them."""
    flags = tmp_path / "flags.txt"
    for program, more in ((TRAIN, "--resume"), (EVALUATE, "--part=test")):
        flags.write_text("# tfmeta 999.0\n--learner=maml\n")
        result = forked(program, f"--output_dir={tmp_path}", more)
        assert_refused(result, "--output_dir", tmp_path)
        assert f"tfmeta 999.0, and this is tfmeta {tfmeta.__version__}" in result.stderr
    flags.write_text("# tfmeta 0.0.9\n--learner=maml\n")
    result = forked(EVALUATE, f"--output_dir={tmp_path}")
    assert "another program, without --seed" in result.stderr


def test_resume_of_a_run_whose_best_checkpoint_is_lost(forked, small, tmp_path):
    """Before any work: its validation may stay the best."""
    assert forked(TRAIN, *small, f"--output_dir={tmp_path}").returncode == 0
    best = tmp_path / "checkpoints" / "best.keras"
    more = [f"--output_dir={tmp_path}", "--resume", "--steps=5"]
    for damage, said in ((best.unlink, "not there"), (lambda: best.write_bytes(b"PK"), "damaged")):
        damage()
        result = forked(TRAIN, *more)
        assert result.returncode == 2
        assert result.stderr.startswith(f"--output_dir={best}: ")
        assert said in result.stderr and "metrics.jsonl" in result.stderr
        assert not (tmp_path / "checkpoints" / "step_00000005.keras").exists()
    (tmp_path / "metrics.jsonl").unlink()
    assert forked(TRAIN, *more).returncode == 0


@pytest.mark.slow
def test_checkpoints_of_another_shape(run, small, tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    assert run(TRAIN, *small, f"--output_dir={folder}").returncode == 0
    flags = [*small, "--filters=8", f"--output_dir={other}"]
    assert run(TRAIN, *flags).returncode == 0
    for path in folder.glob("checkpoints/*"):
        shutil.copy(path, other / "checkpoints")
    result = run(TRAIN, "--steps=8", "--resume", f"--output_dir={other}")
    assert result.returncode == 2
    assert "shape" in result.stderr and "Traceback" not in result.stderr


def test_on_two_ranks_the_sentence_appears_once(horovodrun, small, images, tmp_path):
    """With flags, data that TensorFlow is not needed for, and data that it is needed for."""
    for flags, sentence in (
        (["--ways=1"], "--ways=1"),
        ([*small, "--meta_batch=1"], "--meta_batch=1"),
        ([f"--dataset=folder:{images}", "--ways=26", "--queries=1"], "--ways=26"),
    ):
        result = horovodrun(2, [TRAIN, *flags, f"--output_dir={tmp_path / 'run'}"], timeout=120)
        assert "Exit code: 2" in result.stderr
        assert result.stderr.count(sentence) == 1, result.stderr
        assert "tools/program.py" not in result.stderr


def test_bad_input_of_one_rank_alone_is_heard(horovodrun, small, tmp_path):
    """Only rank 1 is given a data set that is missing; rank 0 waits for it in vain."""
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(
        "import os, runpy, sys\n"
        "sys.argv.pop(0)\n"
        "if os.environ['HOROVOD_RANK'] == '1':\n"
        "    sys.argv.append('--dataset=npz:missing.npz')\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    flags = [wrapper, TRAIN, *small, f"--output_dir={tmp_path / 'run'}"]
    result = horovodrun(2, flags, timeout=120)
    assert "Exit code: 2" in result.stderr
    assert result.stderr.count("--dataset=npz:missing.npz") == 1, result.stderr
