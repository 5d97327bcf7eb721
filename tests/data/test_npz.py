import numpy as np
import pytest

from tfmeta.data.npz import load_npz
from tfmeta.errors import ArgumentError

IMAGES = np.arange(3 * 2 * 4 * 5, dtype=np.uint8).reshape(3, 2, 4, 5)


@pytest.fixture
def saved(tmp_path):
    """Saves arrays and gives the path of the file."""

    def save(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return str(tmp_path / "data.npz")

    return save


def refused(path, problem):
    with pytest.raises(ArgumentError) as refusal:
        load_npz(path)
    assert (refusal.value.argument, refusal.value.value) == ("dataset", f"npz:{path}")
    assert problem in refusal.value.problem
    assert ";" in refusal.value.problem  # what is wrong; what to do


def test_images_alone(saved):
    classes = load_npz(saved(images=IMAGES))
    np.testing.assert_array_equal(classes.images, IMAGES.reshape(6, 4, 5, 1))
    assert classes.counts.tolist() == [2, 2, 2]
    assert classes.names == ("class0", "class1", "class2") and classes.split is None


def test_numbered_names_sort_as_numbers(saved):
    classes = load_npz(saved(images=np.zeros([11, 1, 2, 2], np.uint8)))
    assert classes.names[:3] == ("class00", "class01", "class02")


def test_classes_are_sorted_by_name_and_splits_named_alike(saved):
    path = saved(images=IMAGES, class_names=["b", "c", "a"], split=["train", "val", "test"])
    classes = load_npz(path)
    assert classes.names == ("a", "b", "c")
    assert classes.split == ("test", "train", "validation")
    np.testing.assert_array_equal(classes.images[..., 0], IMAGES[[2, 0, 1]].reshape(6, 4, 5))


def test_colors(saved):
    assert load_npz(saved(images=np.zeros([2, 3, 4, 4, 3], np.uint8))).image_shape == (4, 4, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fractions_become_levels(saved, dtype):
    classes = load_npz(saved(images=(IMAGES / 255).astype(dtype)))
    np.testing.assert_array_equal(classes.images, IMAGES.reshape(6, 4, 5, 1))


def test_real_data(shared_data):
    classes = load_npz(str(shared_data("cifar_fs_trainval80x60.npz")))
    assert len(classes) == 80 and classes.image_shape == (32, 32, 3)
    assert (classes.counts == 60).all()
    assert (classes.split.count("train"), classes.split.count("validation")) == (64, 16)


def test_missing_file_and_folder(tmp_path):
    refused(str(tmp_path / "none.npz"), "there is no such file")
    refused(str(tmp_path), "this is a folder")


def test_other_kinds_of_file(tmp_path):
    path = tmp_path / "data.npz"
    path.write_text("no archive at all")
    refused(str(path), "this is no .npz file, or a truncated one")
    np.save(tmp_path / "single.npy", IMAGES)
    refused(str(tmp_path / "single.npy"), "this is no .npz file")


def test_truncated_and_damaged_files(saved):
    path = saved(images=IMAGES)
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(whole[: len(whole) // 2])
    refused(path, "truncated")
    damaged = bytearray(whole)
    damaged[-200] ^= 255
    with open(path, "wb") as file:
        file.write(damaged)
    refused(path, "the file is damaged")


def test_no_images(saved):
    refused(saved(pictures=IMAGES), "no array `images`, only pictures")


def test_pickled_objects_are_not_read(saved):
    ragged = np.empty(2, object)
    ragged[:] = [IMAGES[0], IMAGES[1, :1]]
    refused(saved(images=ragged), "pickled objects")


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1, 1, 1, 1), (0, 2, 4, 4), (3, 0, 4, 4)])
def test_wrong_rank_and_empty_arrays(saved, shape):
    refused(saved(images=np.zeros(shape, np.uint8)), "`images` has shape")


def test_wrong_number_of_channels(saved):
    refused(saved(images=np.zeros([2, 2, 4, 4, 4], np.uint8)), "4 channels")


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, bool, np.complex64, "U1"])
def test_wrong_types(saved, dtype):
    refused(saved(images=np.zeros([2, 2, 4, 4], dtype)), "save uint8, or floating point")


@pytest.mark.parametrize("pixel", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite(saved, pixel):
    images = np.zeros([2, 2, 4, 4])
    images[1, 0, 2, 3] = pixel
    refused(saved(images=images), "not finite")


@pytest.mark.parametrize("pixel", [-0.1, 1.5, 255.0])
def test_fractions_outside_0_to_1(saved, pixel):
    images = np.full([2, 2, 4, 4], 0.5)
    images[1, 0, 2, 3] = pixel
    refused(saved(images=images), "scale them to 0 to 1")


def test_names_as_bytes_of_any_encoding(saved):
    names = np.array([name.encode(code) for name, code in (("ä", "latin-1"), ("ö", "utf-8"))])
    assert load_npz(saved(images=IMAGES[:2], class_names=names)).names == ("ä", "ö")


def test_names_that_are_no_text(saved):
    names = np.array(["a", "b", "c"])
    names.view(np.uint32)[1] = 0x110000
    refused(saved(images=IMAGES, class_names=names), "`class_names` has characters that are none")


def test_names_and_splits_that_do_not_fit(saved):
    refused(saved(images=IMAGES, class_names=["a", "b"]), "`class_names` is")
    refused(saved(images=IMAGES, class_names=[1, 2, 3]), "`class_names` is int64")
    refused(saved(images=IMAGES, class_names=["a", "b", "a"]), "has 'a' twice")
    refused(saved(images=IMAGES, split=["train"] * 4), "`split` is")
    refused(saved(images=IMAGES, split=["train", "exam", "test"]), "has the name 'exam'")
