import os
import unicodedata
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfmeta.data.folder import load_folder
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.errors import ArgumentError, DataWarning


@pytest.fixture
def draw(tmp_path):
    """Saves an image of one level, or color, below the folder."""

    def save(name, level=0, size=(4, 4)):
        shape = (*size, 3) if isinstance(level, tuple) else size
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, level, np.uint8)).save(tmp_path / name)

    return save


def refused(path, problem, argument="dataset"):
    with pytest.raises(ArgumentError) as refusal:
        load_folder(str(path))
    assert refusal.value.argument == argument
    assert problem in refusal.value.problem
    assert ";" in refusal.value.problem  # what is wrong; what to do


def test_a_class_is_a_directory_with_its_images_in_order(tmp_path, draw):
    for level, name in enumerate(["b/2.png", "b/10.bmp", "a/x.GIF", "a/y.png", "a/w.png"]):
        draw(name, level)
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.counts.tolist() == [3, 2]
    assert classes.images[:, 0, 0, 0].tolist() == [4, 2, 3, 1, 0]
    assert classes.image_shape == (4, 4, 1) and classes.split is None


def test_jpeg_is_read_too(tmp_path, draw):
    draw("a/1.jpg", 100)
    draw("b/1.JPEG", 200)
    levels = load_folder(str(tmp_path)).images[:, 0, 0, 0]
    np.testing.assert_allclose(levels, [100, 200], atol=2)


def test_nested_classes_are_named_by_their_paths(tmp_path, draw):
    for name in ("Greek/alpha/1.png", "Greek/beta/1.png", "Latin/alpha/1.png", "dot/1.png"):
        draw(name)
    names = load_folder(str(tmp_path)).names
    assert names == ("Greek/alpha", "Greek/beta", "Latin/alpha", "dot")


def test_a_lone_folder_at_the_top_is_not_part_of_the_names(tmp_path, draw):
    draw("archive/data/a/1.png")
    draw("archive/data/b/1.png")
    (tmp_path / "archive" / ".README").write_text("about the data")
    assert load_folder(str(tmp_path)).names == ("a", "b")


def test_a_lone_class_keeps_its_name(tmp_path, draw):
    draw("archive/a/1.png")
    assert load_folder(str(tmp_path)).names == ("a",)


def test_classes_with_images_in_two_splits_are_whole_and_not_split(tmp_path, draw):
    draw("train/a/1.png", 1)
    draw("train/b/1.png", 2)
    draw("test/a/2.png", 3)
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.split is None
    assert sorted(classes.images[:2, 0, 0, 0].tolist()) == [1, 3]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("Train", "Val", "TEST"),
        ("training", "validation", "testing"),
        ("TRAIN", "dev", "eval"),
        ("images_background", "val", "images_evaluation"),
    ],
)
def test_parts_go_by_their_usual_names_in_any_case(tmp_path, draw, names):
    for folder, name in zip(names, ("b", "a", "deep/c"), strict=True):
        draw(f"{folder}/{name}/1.png")
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b", "deep/c")
    assert classes.split == ("validation", "train", "test")


def test_bystanders_without_images_change_nothing(tmp_path, draw):
    """Beside the parts and beside a lone folder, where a listing of names alone would see more."""
    draw("data/train/a/1.png", 1)
    draw("data/valid/b/1.png", 2)
    for name in ("__MACOSX/data/train/a/._1.png", "data/labels/train/a/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("no image")
    with pytest.warns(DataWarning, match="1 file is no image .*1 .txt"):
        classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.split == ("train", "validation")


def test_two_folders_of_a_part_are_joined(tmp_path, draw):
    for level, name in enumerate(("train/a", "val/b", "validation/b", "Dev/c", "dev/c")):
        draw(f"{name}/1.png", level)
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b", "c") and classes.counts.tolist() == [1, 2, 2]
    assert classes.split == ("train", "validation", "validation")
    assert sorted(classes.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (("train/a", "valid/a", "extra/a"), "'train' and 'valid' have .* 'extra' is beside them"),
        (
            ("cat/train", "cat/test", "dog/test"),
            "'cat/test' and 'cat/train' have .* within a class",
        ),
    ],
)
def test_parts_that_would_count_classes_twice_are_refused(tmp_path, draw, folders, sentence):
    for folder in folders:
        draw(f"{folder}/1.png")
    with pytest.raises(ArgumentError, match=sentence):
        load_folder(str(tmp_path))


def test_a_class_may_have_the_name_of_a_part(tmp_path, draw):
    draw("car/1.png")
    draw("train/1.png")
    assert load_folder(str(tmp_path)).names == ("car", "train")


def test_what_systems_leave_is_passed_over_in_silence(tmp_path, draw):
    draw("a/1.png")
    draw("b/1.png")
    for name in (".thumbnails/1.png", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "#recycle/c/1.png"):
        draw(name)
    for name in ("a/.hidden.png", "a/Thumbs.db", "b/desktop.ini", "b/.DS_Store"):
        (tmp_path / name).write_text("no image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.counts.tolist() == [1, 1]


def test_links_that_lead_back_change_nothing(tmp_path, draw):
    draw("photos/a/1.png")
    draw("photos/b/1.png")
    draw("elsewhere/c/1.png")
    draw("photos/.store/d/1.png")
    root = tmp_path / "photos"
    for link, target in (
        ("up", ".."),  # beyond the folder
        ("a/top", "../../photos"),  # the folder itself
        ("a/b", "../b"),  # two that are a cycle together
        ("b/a", "../a"),
        ("itself", "itself"),
        ("c", "../elsewhere/c"),  # these two lead to images that do not come otherwise
        ("d", ".store/d"),
    ):
        (root / link).symlink_to(target)
    (tmp_path / "elsewhere" / "c" / "back").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(DataWarning, match="1 file is no image"):  # the link to itself
        classes = load_folder(str(root))
    assert classes.names == ("a", "b", "c", "d") and classes.counts.tolist() == [1, 1, 1, 1]


def test_what_is_an_image_says_its_content(tmp_path, draw):
    draw("a/1.png", 10)
    draw("a/2.webp", 20)
    draw("a/3.tiff", 30)
    draw("b/4.bmp", 40)
    (tmp_path / "a" / "3.tiff").rename(tmp_path / "a" / "3.jpg")
    (tmp_path / "b" / "4.bmp").rename(tmp_path / "b" / "4")
    for name in ("a/notes.txt", "list.csv", "b/notes.TXT", "b/photo.heic"):
        (tmp_path / name).write_text("no image")
    with pytest.warns(DataWarning) as said:
        classes = load_folder(str(tmp_path))
    assert [str(warning.message) for warning in said] == [
        f"folder:{tmp_path}: 4 files are no image that can be read, and left out "
        "(2 .txt, 1 .csv, 1 .heic)."
    ]
    assert classes.names == ("a", "b") and classes.counts.tolist() == [3, 1]
    np.testing.assert_allclose(classes.images[:, 0, 0, 0], [10, 20, 30, 40], atol=1)


def test_names_are_the_same_in_any_encoding_and_form(tmp_path, draw):
    """Classes of the same name in two parts, written apart, together, and in Latin-1."""
    draw(f"train/{unicodedata.normalize('NFD', 'café')}/1.png")
    draw("train/thé/1.png")
    draw("valid/café/2.png")
    latin = os.fsencode(tmp_path / "valid") + "/thé".encode("latin-1")
    os.mkdir(latin)
    Image.new("L", (4, 4)).save(os.fsdecode(latin) + "/2.png")
    classes = load_folder(str(tmp_path))
    assert classes.names == ("café", "thé") and classes.counts.tolist() == [2, 2]


def test_a_path_may_have_spaces_signs_and_a_tilde(tmp_path, draw, monkeypatch):
    draw("my + photos/~a/1 + 1.png")
    draw("my + photos/b:c/#1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_folder("~/my + photos").names == ("b:c", "~a")


def test_colors_and_sizes_may_be_mixed_if_resized(tmp_path, draw):
    draw("a/1.png", 50, size=(8, 4))
    draw("b/1.png", (10, 20, 30), size=(5, 9))
    classes = load_folder(str(tmp_path), LoadOptions(6))
    assert classes.image_shape == (6, 6, 3)
    assert classes.images[:, 3, 3].tolist() == [[50, 50, 50], [10, 20, 30]]
    assert load_folder(str(tmp_path), LoadOptions(6, 1)).image_shape == (6, 6, 1)
    refused(tmp_path, "different sizes, from 5x9 to 8x4", argument="image_size")


def test_grey_images_stored_in_color_have_one_channel(tmp_path, draw):
    draw("a/1.png", (7, 7, 7))
    assert load_folder(str(tmp_path)).image_shape == (4, 4, 1)
    assert load_folder(str(tmp_path), LoadOptions(channels=3)).image_shape == (4, 4, 3)


def test_missing_and_empty_folders(tmp_path):
    refused(tmp_path / "none", "there is no such folder")
    refused(tmp_path, "there is no image")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("another kind")
    with pytest.warns(DataWarning, match="1 file is no image"):
        refused(tmp_path, "there is no image")
    refused(tmp_path / "a" / "1.txt", "this is a file")


def test_images_of_no_class(tmp_path, draw):
    draw("a/1.png")
    draw("stray.png")
    refused(tmp_path, "stray.png' belongs to no class")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff"])
def test_unreadable_and_truncated_images_are_named_all_at_once(tmp_path, draw, suffix):
    draw("a/good.png", size=(40, 40))
    shorts = [tmp_path / name / f"short.{suffix}" for name in "ab"]
    for path in shorts:
        draw(path.relative_to(tmp_path), size=(40, 40))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (tmp_path / "b" / "missing.png").symlink_to("nowhere.png")
    with pytest.raises(ArgumentError) as refusal:
        load_folder(str(tmp_path))
    for path in (*shorts, tmp_path / "b" / "missing.png"):
        assert f"'{path}' (" in refusal.value.problem
    refused(tmp_path, "cannot be read; replace or remove them.")
    shorts[0].write_text("no image")
    refused(tmp_path, f"'{shorts[0]}' (it is no image")
    shorts[0].write_bytes(b"")
    refused(tmp_path, f"'{shorts[0]}' (it is no image")


def test_omniglot_is_that_of_the_array(tmp_path, shared_data):
    alphabets = ("Greek", "Tagalog", "Early_Aramaic")
    with zipfile.ZipFile(shared_data("omniglot_images_background.zip")) as archive:
        for name in archive.namelist():
            if name.split("/")[1] in alphabets:
                archive.extract(name, tmp_path)
    classes = load_folder(str(tmp_path), LoadOptions(28))
    array = load_npz(str(shared_data("omniglot_background_28.npz")))
    same = array.subset([i for i, name in enumerate(array.names) if name.startswith(alphabets)])
    assert classes.names == same.names
    np.testing.assert_array_equal(classes.images, same.images)
    parts = split_classes(classes, "alphabets")
    assert {name: len(part) for name, part in parts.items()} == {"train": 46, "validation": 17}


def test_mini_imagenet_brings_its_split(tmp_path, shared_data):
    with zipfile.ZipFile(shared_data("miniimagenet84_trainval80x40.zip")) as archive:
        first = {name.rpartition("/")[0]: name for name in archive.namelist() if name[-1] != "/"}
        archive.extractall(tmp_path, first.values())
    classes = load_folder(str(tmp_path))
    assert classes.image_shape == (84, 84, 3)
    parts = split_classes(classes)
    assert {name: len(part) for name, part in parts.items()} == {"train": 64, "validation": 16}
