import numpy as np
import pytest

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.merging import merged
from tfmeta.errors import ArgumentError


def classes(size=(2, 2)):
    images = np.arange(6 * size[0] * size[1], dtype=np.uint8).reshape(6, *size, 1)
    return ImageClasses(images, np.array([1, 3, 2]), ("a", "b", "c"), ("train", "test", "train"))


def test_subset_keeps_images_with_their_classes():
    part = classes().subset([2, 0])
    assert len(part) == 2
    assert part.names == ("c", "a") and part.split == ("train", "train")
    assert part.counts.tolist() == [2, 1] and part.offsets.tolist() == [0, 2]
    np.testing.assert_array_equal(part.images, classes().images[[4, 5, 0]])


def test_rotations_are_classes_of_their_own():
    turned = classes().with_rotations()
    assert len(turned) == 12 and turned.image_shape == (2, 2, 1)
    assert turned.names[:4] == ("a", "b", "c", "a/rotated90")
    assert turned.counts.tolist() == [1, 3, 2] * 4
    assert turned.split == ("train", "test", "train") * 4
    images = turned.images[..., 0].reshape(4, 6, 2, 2)
    assert images[:, 0].tolist() == [
        [[0, 1], [2, 3]],
        [[1, 3], [0, 2]],
        [[3, 2], [1, 0]],
        [[2, 0], [3, 1]],
    ]


def test_rotations_need_squares():
    with pytest.raises(ArgumentError, match="^rotations=True: only square .* 2x3; resize"):
        classes((2, 3)).with_rotations()


@pytest.mark.parametrize(
    "change, argument",
    [
        ({"images": np.zeros([6, 2, 2, 1], np.float32)}, "images"),
        ({"images": np.zeros([6, 2, 2], np.uint8)}, "images"),
        ({"counts": np.array([1, 3, 3])}, "counts"),
        ({"counts": np.array([0, 3, 3])}, "counts"),
        ({"counts": np.array([1.0, 3.0, 2.0])}, "counts"),
        ({"names": ("a", "b")}, "names"),
        ({"names": ("a", "b", "b")}, "names"),
        ({"split": ("train", "test")}, "split"),
        ({"split": ("train", "test", "exam")}, "split"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, argument):
    whole = classes()
    parts = {name: getattr(whole, name) for name in ("images", "counts", "names", "split")}
    with pytest.raises(ArgumentError) as refusal:
        ImageClasses(**{**parts, **change})
    assert refusal.value.argument == argument


def test_merged_sorts_by_name_and_keeps_a_split_of_classes():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    labels = [("b", "test"), ("a", "train"), ("b", "test"), ("a", "train")]
    result = merged(images, labels)
    assert result.names == ("a", "b") and result.split == ("train", "test")
    assert result.images.ravel().tolist() == [1, 3, 0, 2]


def test_merged_drops_a_split_of_images():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    result = merged(images, [("a", "train"), ("b", "train"), ("a", "test")])
    assert result.split is None
    assert result.counts.tolist() == [2, 1] and result.images.ravel().tolist() == [0, 2, 1]
