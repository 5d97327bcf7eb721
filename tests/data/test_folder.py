import zipfile

import numpy as np
import pytest
from PIL import Image

from tfmeta.data.folder import load_folder
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.errors import ArgumentError


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
    (tmp_path / "archive" / "README").write_text("about the data")
    assert load_folder(str(tmp_path)).names == ("a", "b")


def test_a_lone_class_keeps_its_name(tmp_path, draw):
    draw("archive/a/1.png")
    assert load_folder(str(tmp_path)).names == ("a",)


def test_folders_named_as_splits_are_the_split(tmp_path, draw):
    draw("train/b/1.png")
    draw("val/a/1.png")
    draw("test/deep/c/1.png")
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b", "deep/c")
    assert classes.split == ("validation", "train", "test")


def test_classes_with_images_in_two_splits_are_whole_and_not_split(tmp_path, draw):
    draw("train/a/1.png", 1)
    draw("train/b/1.png", 2)
    draw("test/a/2.png", 3)
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.split is None
    assert sorted(classes.images[:2, 0, 0, 0].tolist()) == [1, 3]


def test_hidden_and_other_files_are_passed_over(tmp_path, draw):
    draw("a/1.png")
    draw("b/1.png")
    draw(".thumbnails/1.png")
    for name in ("a/.hidden.png", "a/notes.txt", "list.csv"):
        (tmp_path / name).write_text("no image")
    classes = load_folder(str(tmp_path))
    assert classes.names == ("a", "b") and classes.counts.tolist() == [1, 1]


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
    refused(tmp_path, "there is no PNG, JPEG, BMP or GIF image")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.tiff").write_text("another kind")
    refused(tmp_path, "there is no PNG, JPEG, BMP or GIF image")
    refused(tmp_path / "a" / "1.tiff", "this is a file")


def test_images_of_no_class(tmp_path, draw):
    draw("a/1.png")
    draw("stray.png")
    refused(tmp_path, "stray.png' belongs to no class")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_unreadable_and_truncated_images_are_named(tmp_path, draw, suffix):
    draw("a/good.png", size=(40, 40))
    draw(f"a/short.{suffix}", size=(40, 40))
    path = tmp_path / "a" / f"short.{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    refused(tmp_path, f"'{path}' cannot be read")
    path.write_text("no image")
    refused(tmp_path, f"'{path}' cannot be read")
    path.write_bytes(b"")
    refused(tmp_path, f"'{path}' cannot be read")


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
