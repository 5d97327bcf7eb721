import io

import numpy as np
import pytest

from tfmeta.data.storage import Storage
from tfmeta.errors import ArgumentError

GRAY = np.arange(120, dtype=np.uint8).reshape(10, 12, 1) * 2
COLOR = np.concatenate([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=-1)


def stored(images, channels=None, order=None, file=None):
    storage = Storage(len(images), None, channels, file)
    storage.fill(zip(order or range(len(images)), images, strict=True))
    return storage.array()


@pytest.fixture(params=["memory", "file"])
def file(request, tmp_path):
    """None for memory, or an empty file."""
    if request.param == "memory":
        yield None
    else:
        with open(tmp_path / "images.npy", "w+b") as opened:
            yield opened


def test_images_go_to_their_rows(file):
    images = [np.full_like(GRAY, level) for level in range(5)]
    array = stored(images, order=[3, 0, 4, 1, 2], file=file)
    assert array.shape == (5, 10, 12, 1)
    assert array[:, 0, 0, 0].tolist() == [1, 3, 4, 0, 2]


@pytest.mark.parametrize("first", range(4))
def test_gray_images_take_three_channels_once_one_has_colors(file, first):
    """Whichever is the first with colors, and in whatever order they come."""
    images = [np.roll(GRAY, number) for number in range(4)]
    images[first] = COLOR
    order = [2, 0, 3, 1]
    array = stored(images, order=order, file=file)
    for row, image in zip(order, images, strict=True):
        np.testing.assert_array_equal(array[row], np.broadcast_to(image, COLOR.shape))


def test_colors_turn_gray_where_gray_is_asked_for(file):
    array = stored([COLOR, GRAY], channels=1, file=file)
    # The luma weights of ITU-R 601.
    np.testing.assert_allclose(array[0, ..., 0], COLOR @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_array_equal(array[1], GRAY)
    assert stored([GRAY], channels=3, file=None).shape == (1, 10, 12, 3)


@pytest.mark.parametrize("images", [[GRAY] * 3, [GRAY, COLOR, GRAY], [COLOR] * 3])
def test_the_file_is_one_of_numpy(tmp_path, images):
    with open(tmp_path / "images.npy", "w+b") as file:
        array = stored(images, file=file)
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), array)
    written = io.BytesIO()
    np.save(written, array)
    assert (tmp_path / "images.npy").read_bytes() == written.getvalue()


def test_images_of_different_sizes_are_refused(file):
    with pytest.raises(ArgumentError, match="^image_size=None: .*from 10x12 to 12x10; give the"):
        stored([GRAY, GRAY.transpose(1, 0, 2)], file=file)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_taken():
    sentence = "^image_size=None: .* images take 1.2 PB, and .* of memory are left; .* by cache_dir"
    with pytest.raises(ArgumentError, match=sentence):
        Storage(10**13, None, None).fill([(0, GRAY)])
    for size in (10**6, 10**30):  # at once, where the size is known
        with pytest.raises(ArgumentError, match=f"^image_size={size}: 5000 decoded images take"):
            Storage(5000, size, None)


def test_a_disk_that_is_too_small_is_found_out_at_once(tmp_path):
    for size in (10**7, 10**30):
        with open(tmp_path / "images.npy", "w+b") as file, pytest.raises(OSError, match="No space"):
            Storage(5000, size, None, file)
