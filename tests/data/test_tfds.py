import tempfile
import zipfile

import numpy as np
import pytest

from tfmeta.data.folder import load_folder
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.data.tfds import load_tfds
from tfmeta.errors import ArgumentError, DataWarning


@pytest.fixture
def prepared(tmp_path):
    """Prepares a TFDS set of images of one level, given by split as (label, level) pairs."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def prepare(names, channels=1, size=(6, 6), image=None, more=(), label="label", **splits):
        image = image or tfds.features.Image(shape=(*size, channels))
        more = {key: tfds.features.ClassLabel(num_classes=9) for key in more}

        def examples(pairs):
            levels = np.array([level for _, level in pairs], image.np_dtype)
            shape = (len(pairs), *size, channels)
            images = np.broadcast_to(levels.reshape(len(pairs), 1, 1, -1), shape)
            labels = [-1 if name is None else names.index(name) for name, _ in pairs]
            slices = {"image": images, label: labels}
            slices |= {key: np.arange(len(pairs)) for key in more}
            return tf.data.Dataset.from_tensor_slices(slices)

        tfds.dataset_builders.store_as_tfds_dataset(
            name="made",
            version="1.0.0",
            features=tfds.features.FeaturesDict(
                {
                    "image": image,
                    label: tfds.features.ClassLabel(names=names),
                    **more,
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


def test_unlabelled_examples_are_left_out_and_counted(prepared):
    data_dir = prepared(["a", "b"], train=[("a", 1), (None, 2), ("b", 3)], test=[(None, 4)])
    with pytest.warns(DataWarning, match="^tfds:made: 2 of 4 examples have no label, and are left"):
        classes = load_tfds("made", LoadOptions(data_dir=data_dir))
    assert classes.names == ("a", "b") and classes.images[:, 0, 0, 0].tolist() == [1, 3]
    with pytest.raises(ArgumentError, match="none of its 1 examples has a label; choose"):
        load_tfds("made", LoadOptions(data_dir=data_dir, tfds_splits=["test"]))


@pytest.mark.parametrize(
    "feature, dtype, channels, levels",
    [
        ("Image", "uint16", 1, [0, 65535, 257 * 100]),
        ("Image", "uint16", 3, [0, 65535, 257 * 100]),
        ("Image", "float32", 1, [0.0, 1.0, 100 / 255]),
        ("Tensor", "uint16", 1, [0, 65535, 257 * 100]),
        ("Tensor", "int64", 3, [0, 255, 100]),
        ("Tensor", "float64", 3, [0.0, 1.0, 100 / 255]),
        ("Tensor", "bool", 1, [False, True]),
    ],
)
def test_images_of_any_type(prepared, feature, dtype, channels, levels):
    import tensorflow_datasets as tfds

    shape = (6, 6, channels)
    image = getattr(tfds.features, feature)(shape=shape, dtype=np.dtype(dtype))
    pairs = [("a", (level,) * channels) for level in levels]
    data_dir = prepared(["a"], channels, image=image, train=pairs)
    classes = load_tfds("made", LoadOptions(data_dir=data_dir))
    assert classes.images[:, 0, 0, 0].tolist() == [0, 255, 100][: len(levels)]


@pytest.mark.parametrize("pixel", [-1.0, 255.0, np.nan])
def test_floating_point_numbers_of_another_range_are_refused(prepared, pixel):
    import tensorflow_datasets as tfds

    image = tfds.features.Tensor(shape=(6, 6, 1), dtype=np.float32)
    refused("made", "it is float32 with pixels", prepared(["a"], image=image, train=[("a", pixel)]))


def test_another_label_key(prepared):
    data_dir = prepared(["a", "b"], more=["kind"], train=[("a", 1), ("b", 2), ("a", 3)])
    classes = load_tfds("made", LoadOptions(data_dir=data_dir, label_key="kind"))
    assert classes.names == ("0", "1", "2") and classes.images[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_the_label_keys_are_listed_where_none_fits(prepared):
    data_dir = prepared(["a"], label="species", more=["kind"], train=[("a", 1)])
    with pytest.raises(
        ArgumentError, match="^label_key=label: tfds:made .* it has .*: give one"
    ) as e:
        load_tfds("made", LoadOptions(data_dir=data_dir))
    assert "species" in str(e.value) and "kind" in str(e.value)


def test_other_splits_are_joined_where_they_are_named(prepared):
    pairs = [("a", 1), ("b", 2)]
    data_dir = prepared(["a", "b"], train=pairs, test=[("a", 3)], extra=[("b", 4), ("b", 5)])

    def levels(*splits):
        classes = load_tfds("made", LoadOptions(data_dir=data_dir, tfds_splits=splits))
        return classes.images[:, 0, 0, 0].tolist()

    assert levels("train", "extra") == [1, 2, 4, 5]
    assert levels("extra") == [4, 5]
    assert levels("train[:50%]", "test") == [1, 3]
    for splits in (["trains"], ["train[:0%]"], ["train[half]"], ["train", ""]):
        with pytest.raises(
            ArgumentError, match="^tfds_splits=.* it has the splits .*extra"
        ) as error:
            levels(*splits)
        assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*no label")
def test_images_are_kept_in_a_cache(prepared, tmp_path):
    data_dir = prepared(["b", "a"], train=[("a", 1), (None, 2), ("b", 3), ("a", 4)])
    for splits in (None, ["train[:50%]"]):
        options = LoadOptions(data_dir=data_dir, tfds_splits=splits)
        plain = load_tfds("made", options)
        for _ in range(2):  # written, then mapped
            cached = load_tfds("made", options._replace(cache_dir=str(tmp_path / "cache")))
            np.testing.assert_array_equal(cached.images, plain.images)
            assert cached.names == plain.names


def test_damaged_records_are_refused(prepared, tmp_path):
    data_dir = prepared(["a"], train=[("a", level) for level in range(9)])
    (path,) = tmp_path.rglob("*.tfrecord*")
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole[:200] + b"?" + whole[201:], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        refused("made", "cannot be read", data_dir)


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


def test_sets_without_images_or_labels(tmp_path):
    refused("glue", "no features image and label", tmp_path)


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    refused("glue", "no features image and label", tmp_path / "none")
    assert not list(tmp_path.iterdir()) and tempfile.gettempdir() == str(tmp_path)


def test_sets_without_the_usual_splits(prepared):
    data_dir = prepared(["a"], extra=[("a", 1)])
    refused("made", "no split train, validation or test, but extra", data_dir)


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
