"""What every loader of image classes must do, with real files of the same images."""

import numpy as np
import pytest
from PIL import Image

from tfmeta.data.load import dataset_forms, load_image_classes
from tfmeta.errors import ArgumentError
from tfmeta.registry import LOADERS

# Levels of gray of the images of each class.
LEVELS = {"b": (10, 20), "c": (30, 40), "a": (50, 60)}
SIZE = 9


def pixels(level):
    return np.full([SIZE, SIZE], level, np.uint8)


def write_folder(path):
    for name, levels in LEVELS.items():
        (path / name).mkdir()
        for number, level in enumerate(levels):
            Image.fromarray(pixels(level)).save(path / name / f"{number}.png")
    return str(path)


def write_npz(path):
    images = [[pixels(level) for level in levels] for levels in LEVELS.values()]
    np.savez(path / "data.npz", images=images, class_names=list(LEVELS))
    return str(path / "data.npz")


def write_tfds(path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    images = [pixels(level)[..., None] for levels in LEVELS.values() for level in levels]
    examples = {"image": np.stack(images), "label": np.repeat(np.arange(3), 2)}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="made",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(SIZE, SIZE, 1)),
                "label": tfds.features.ClassLabel(names=list(LEVELS)),
            }
        ),
        split_datasets={"train": tf.data.Dataset.from_tensor_slices(examples)},
        data_dir=path,
    )
    return "made"


# What writes a data set into a folder and gives its place; None for loaders that draw.
WRITERS = {"glyphs": None, "tfds": write_tfds, "folder": write_folder, "npz": write_npz}
READ = [name for name, write in WRITERS.items() if write]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The data set of each loader, and the folder where it is."""
    found = {}
    for name, write in WRITERS.items():
        path = tmp_path_factory.mktemp(name)
        found[name] = f"{name}:{write(path)}" if write else name, str(path)
    return found


@pytest.fixture
def load(datasets):
    def load(name, **arguments):
        dataset, path = datasets[name]
        return load_image_classes(dataset, **{"image_size": SIZE, "data_dir": path, **arguments})

    return load


def test_every_loader_is_tested_here():
    assert list(LOADERS) == list(WRITERS)


@pytest.mark.parametrize("name", LOADERS)
def test_classes_are_sorted_and_the_same_each_time(load, name):
    classes, again = load(name), load(name)
    assert list(classes.names) == sorted(classes.names) and len(classes) >= 3
    assert classes.image_shape == (SIZE, SIZE, 1)
    np.testing.assert_array_equal(classes.images, again.images)


@pytest.mark.parametrize("name", READ)
def test_images_stay_with_their_classes(load, name):
    classes = load(name, image_size=None)
    assert classes.names == ("a", "b", "c") and classes.counts.tolist() == [2, 2, 2]
    assert classes.image_shape == (SIZE, SIZE, 1)
    levels = classes.images[:, 0, 0, 0].reshape(3, 2)
    assert np.sort(levels).tolist() == [[50, 60], [10, 20], [30, 40]]  # TFDS shuffles a class


@pytest.mark.parametrize("name", LOADERS)
def test_size_and_channels_are_those_asked_for(load, name):
    assert load(name, image_size=12, channels=3).image_shape == (12, 12, 3)
    gray, color = load(name, channels=1), load(name, channels=3)
    np.testing.assert_array_equal(np.repeat(gray.images, 3, axis=-1), color.images)


@pytest.mark.parametrize("name", LOADERS)
def test_a_wrong_place_gives_one_clear_sentence(tmp_path, name):
    # Where no place is asked for, any is wrong.
    dataset = f"{name}:{tmp_path / 'nothing_here'}"
    with pytest.raises(ArgumentError) as refusal:
        load_image_classes(dataset, data_dir=str(tmp_path))
    assert (refusal.value.argument, refusal.value.value) == ("dataset", dataset)
    assert ";" in refusal.value.problem and "\n" not in refusal.value.problem


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("form", ["{}", "{}:"])
def test_a_missing_place_is_refused_with_all_forms(name, form):
    forms = r"glyphs, tfds:NAME, folder:PATH or npz:PATH"
    dataset = form.format(name)
    with pytest.raises(ArgumentError, match=f"^dataset={dataset}: there is no .* use {forms}"):
        load_image_classes(dataset)


def test_forms_name_every_loader():
    assert dataset_forms() == ["glyphs", "tfds:NAME", "folder:PATH", "npz:PATH"]
