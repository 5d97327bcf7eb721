import zipfile

import numpy as np
import pytest

from tfmeta.data.folder import load_folder
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.data.tfds import load_tfds
from tfmeta.errors import ArgumentError


@pytest.fixture
def prepared(tmp_path):
    """Prepares a TFDS set of images of one level, given by split as (label, level) pairs."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def prepare(names, channels=1, size=(6, 6), label="label", **splits):
        def examples(pairs):
            levels = np.array([level for _, level in pairs], np.uint8)
            shape = (len(pairs), *size, channels)
            images = np.broadcast_to(levels.reshape(len(pairs), 1, 1, -1), shape)
            labels = [names.index(name) for name, _ in pairs]
            return tf.data.Dataset.from_tensor_slices({"image": images, label: labels})

        tfds.dataset_builders.store_as_tfds_dataset(
            name="made",
            version="1.0.0",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*size, channels)),
                    label: tfds.features.ClassLabel(names=names),
                }
            ),
            split_datasets={split: examples(pairs) for split, pairs in splits.items()},
            data_dir=tmp_path,
        )
        return str(tmp_path)

    return prepare


def test_labels_become_classes_sorted_by_name(prepared):
    data_dir = prepared(["b", "a", "unused"], train=[("a", 1), ("b", 2), ("a", 3)])
    classes = load_tfds("made", LoadOptions(data_dir=data_dir))
    assert classes.names == ("a", "b") and classes.counts.tolist() == [2, 1]
    assert classes.images[:, 0, 0, 0].tolist() == [1, 3, 2]
    assert classes.image_shape == (6, 6, 1)


def test_splits_of_images_are_put_together(prepared):
    pairs = [("a", 1), ("b", 2)]
    data_dir = prepared(["a", "b"], train=pairs, test=pairs, small=pairs)
    classes = load_tfds("made", LoadOptions(data_dir=data_dir))
    assert classes.counts.tolist() == [2, 2] and classes.split is None


def test_splits_of_classes_are_kept(prepared):
    data_dir = prepared(["a", "b"], train=[("b", 1)], validation=[("a", 2)])
    classes = load_tfds("made", LoadOptions(data_dir=data_dir))
    assert classes.split == ("validation", "train")


def test_color_and_size(prepared):
    data_dir = prepared(["a"], channels=3, size=(8, 10), train=[("a", (10, 20, 30))])
    classes = load_tfds("made", LoadOptions(5, data_dir=data_dir))
    assert classes.image_shape == (5, 5, 3) and classes.images[0, 2, 2].tolist() == [10, 20, 30]
    assert load_tfds("made", LoadOptions(5, 1, data_dir)).image_shape == (5, 5, 1)


def refused(name, problem, data_dir):
    with pytest.raises(ArgumentError) as refusal:
        load_tfds(name, LoadOptions(data_dir=str(data_dir)))
    assert (refusal.value.argument, refusal.value.value) == ("dataset", f"tfds:{name}")
    assert problem in refusal.value.problem
    assert ";" in refusal.value.problem  # what is wrong; what to do
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["no_such_set", "omniglot/none", "omniglot:0.0.1", "two words"])
def test_unknown_sets(name, tmp_path):
    refused(name, "TensorFlow Datasets does not have it", tmp_path)


def test_sets_without_images_or_labels(prepared, tmp_path):
    refused("made", "no features image and label", prepared(["a"], label="kind", train=[("a", 1)]))
    refused("glue", "no features image and label", tmp_path)


def test_sets_without_the_usual_splits(prepared):
    refused("made", "no split train, validation or test", prepared(["a"], extra=[("a", 1)]))


def test_sets_that_cannot_be_had(tmp_path):
    # ImageNet has to be fetched by hand, so preparing it fails with or without a network.
    refused("imagenet2012", "is not prepared in", tmp_path)


@pytest.mark.slow
def test_omniglot_is_the_same_from_all_sources(tmp_path, shared_data):
    array = load_npz(str(shared_data("omniglot_background_28.npz")))
    with zipfile.ZipFile(shared_data("omniglot_images_background.zip")) as archive:
        archive.extractall(tmp_path)
    folder = load_folder(str(tmp_path), LoadOptions(28))
    prepared = load_tfds("omniglot", LoadOptions(28, data_dir=str(shared_data("tfds"))))
    assert folder.names == array.names == prepared.names
    np.testing.assert_array_equal(folder.images, array.images)
    assert (prepared.counts == 20).all()
    for i in range(964):
        # TFDS has shuffled the examples of a class.
        left, right = prepared.subset([i]).images, array.subset([i]).images
        assert sorted(map(bytes, left)) == sorted(map(bytes, right))
    for split in (None, "alphabets"):
        parts = [split_classes(classes, split, seed=1) for classes in (array, folder, prepared)]
        for part in parts[0]:
            assert parts[0][part].names == parts[1][part].names == parts[2][part].names
