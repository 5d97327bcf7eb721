"""Loading takes little more memory than the images that come out, and so do their tasks."""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmeta.data.folder import load_folder
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.data.tfds import load_tfds

SIZE = 256
CLASSES, EXAMPLES = 20, 10
LARGE = CLASSES * EXAMPLES * SIZE * SIZE * 3  # 39 MB
COLORS = np.random.default_rng(0).integers(0, 255, [4, 4, 3], np.uint8)


def picture(number):
    return Image.fromarray(COLORS + np.uint8(number % 5)).resize((SIZE, SIZE), Image.NEAREST)


@pytest.fixture(scope="module")
def added_memory():
    """A function's result, and how much memory it took at most, in bytes.

    In a young process: of an older one the kernel may have taken pages that come back meanwhile.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield lambda *call: process.submit(_measured, *call).result()


def _measured(function, *arguments):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is taken now
    before = _status("VmRSS")
    result = function(*arguments)
    return result, _status("VmHWM") - before


def _status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(name)


def write_folder(path, gray_first=0):
    for number in range(CLASSES * EXAMPLES):
        folder = path / f"class{number // EXAMPLES:02d}"
        folder.mkdir(exist_ok=True)
        shown = picture(number)
        (shown.convert("L") if number < gray_first else shown).save(folder / f"{number:03d}.bmp")


def test_a_folder(tmp_path, added_memory):
    write_folder(tmp_path)
    added_memory(load_folder, str(tmp_path / "class00" / ".."), LoadOptions(8))  # loaded only once
    classes, taken = added_memory(load_folder, str(tmp_path))
    assert classes.images.nbytes == LARGE and taken < 1.3 * LARGE


def test_a_folder_whose_last_image_alone_has_colors(tmp_path, added_memory):
    write_folder(tmp_path, gray_first=CLASSES * EXAMPLES - 1)
    classes, taken = added_memory(load_folder, str(tmp_path))
    assert classes.images.nbytes == LARGE and taken < 1.3 * LARGE
    np.testing.assert_array_equal(classes.images[-1], np.asarray(picture(CLASSES * EXAMPLES - 1)))
    gray = np.asarray(picture(3).convert("L"))
    np.testing.assert_array_equal(classes.images[3], np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype, save", [("uint8", np.savez), ("float32", np.savez_compressed)])
def test_an_archive(tmp_path, added_memory, dtype, save):
    images = np.empty([CLASSES, EXAMPLES, SIZE, SIZE, 3], dtype)
    images[:] = np.asarray(picture(0)) / (1 if dtype == "uint8" else 255)
    save(tmp_path / "data.npz", images=images, class_names=[f"{9 - i:02d}" for i in range(-10, 10)])
    del images
    classes, taken = added_memory(load_npz, str(tmp_path / "data.npz"))
    assert classes.images.nbytes == LARGE and taken < 1.3 * LARGE


@pytest.mark.slow
def test_a_tensorflow_data_set(tmp_path, added_memory):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def examples():
        for number in range(8 * CLASSES * EXAMPLES):
            yield {"image": np.asarray(picture(number)), "label": number % 7}

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(SIZE, SIZE, 3)),
            "label": tfds.features.ClassLabel(names=list("gfedcba")),
        }
    )
    made = tf.data.Dataset.from_generator(
        examples,
        output_signature={
            "image": tf.TensorSpec([SIZE, SIZE, 3], tf.uint8),
            "label": tf.TensorSpec([], tf.int64),
        },
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name="made",
        version="1.0.0",
        features=features,
        split_datasets={"train": made},
        data_dir=tmp_path,
    )
    options = LoadOptions(data_dir=str(tmp_path))
    added_memory(load_tfds, "made", options._replace(image_size=8))  # loaded only once
    classes, taken = added_memory(load_tfds, "made", options)
    assert classes.images.nbytes == 8 * LARGE and taken < 1.3 * classes.images.nbytes


@functools.cache
def small_images(examples):
    """Made in the process that draws tasks of it: what is sent there is aligned for no sharing."""
    images = np.full([CLASSES * examples, 32, 32, 3], 7, np.uint8)
    names = tuple(f"{i:02d}" for i in range(CLASSES))
    return ImageClasses(images, np.full(CLASSES, examples), names)


def draw_tasks(examples):
    from tfmeta.tasks.episodes import Episodes

    parts = split_classes(small_images(examples))
    parts["train"] = parts["train"].with_rotations()
    sources = [Episodes(part, 3, 1, 1, invert=True) for part in parts.values()]
    for source in sources:
        next(iter(source.batches(2)))


def test_parts_of_a_split_rotations_and_tasks_share_the_images(added_memory):
    added_memory(draw_tasks, 10)  # what TensorFlow loads only once
    many = LARGE // (CLASSES * 3072)
    classes, _ = added_memory(small_images, many)
    _, taken = added_memory(draw_tasks, many)
    assert taken < 0.3 * classes.images.nbytes
