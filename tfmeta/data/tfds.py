"""Image classes from TensorFlow Datasets."""

import contextlib
import io
import itertools
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfmeta.data import cache, pictures
from tfmeta.data.image_classes import SPLITS, ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.merging import merged
from tfmeta.data.names import part_named
from tfmeta.data.threads import in_order
from tfmeta.errors import ArgumentError, DataWarning


@loader("NAME", uses_tensorflow=True)
def load_tfds(name: str, options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Reads the classes, sorted by name, of a TFDS data set with images and labels.

    It joins the splits train, validation and test, as far as there are any, or those that
    `options.tfds_splits` names. They become the split of the classes if no class is in two of them,
    as in Omniglot. Classes have the names of their labels; Omniglot's have those of its archives,
    such as "Greek/character01". Examples without a label (-1) are left out; a warning counts them.
    Nothing is downloaded if the data set is prepared in `data_dir`.

    The feature image may be of uint8, of uint16 or bool, whose range becomes 0 to 255, or of
    floating point numbers from 0 to 1.

    Args:
        name: as `tfds.builder` takes it, such as "omniglot" or "emnist/letters".
        options: `image_size`, `channels`, `data_dir`, `cache_dir`, `label_key` and `tfds_splits`
            apply.

    Raises:
        ArgumentError: naming `dataset`, if there is no such data set, it has no images with labels,
            or it is not prepared and cannot be downloaded; `label_key` or `tfds_splits`, if it has
            no such feature or split; or `image_size`, if that is None and sizes differ.
    """
    value = f"tfds:{name}"
    builder = _builder(name, options.data_dir, value)
    features = dict(builder.info.features or {})
    _check_features(features, options.label_key, value)
    if not builder.is_prepared():
        _prepare(builder, value)
    splits = _splits(builder, options.tfds_splits, value)
    labels = [
        label
        for split in splits
        for label in _labels(builder, split, features[options.label_key], options.label_key, value)
    ]
    unlabelled = labels.count(None)
    if unlabelled == len(labels):
        raise ArgumentError(
            "dataset", value, f"none of its {len(labels)} examples has a label; choose another set."
        )
    if unlabelled:
        warnings.warn(
            f"{value}: {unlabelled} of {len(labels)} examples have no label, and are left out.",
            DataWarning,
            stacklevel=2,
        )
    found = (
        image for split in splits for image in _images(builder, split, features["image"], value)
    )
    chosen = itertools.compress(found, [label is not None for label in labels])
    images = in_order(lambda image: _pixels(image, options.image_size, value), chosen)
    source = [str(builder.data_dir), list(splits), options.label_key, _identity(builder, splits)]
    return merged(images, [label for label in labels if label is not None], options, source)


def _builder(name: str, data_dir: str | None, value: str) -> Any:
    # Imported here because it imports TensorFlow, which takes seconds.
    import tensorflow_datasets as tfds

    try:
        with _leaving_nothing():
            return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise ArgumentError(
            "dataset",
            value,
            f"TensorFlow Datasets does not have it ({_first_line(error)}); give one of "
            "https://www.tensorflow.org/datasets/catalog/overview",
        ) from None


@contextlib.contextmanager
def _leaving_nothing() -> Iterator[None]:
    """Removes the folder that TensorFlow Datasets makes for what it fetches about a data set."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _check_features(features: dict[str, Any], label_key: str, value: str) -> None:
    """Refuses data sets without images and class labels."""
    image = features.get("image")
    keys = [key for key, feature in features.items() if _names_classes(feature)]
    if not _is_image(image) or not keys:
        raise ArgumentError(
            "dataset",
            value,
            f"it has no features image and label, but {', '.join(features) or 'none'}; choose a "
            "set with both.",
        )
    if label_key not in keys:
        raise ArgumentError(
            "label_key",
            label_key,
            f"{value} has no such label; it has {', '.join(keys)}: give one of these.",
        )


def _is_image(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Image):
        return True
    if type(feature) is not tfds.features.Tensor or np.dtype(feature.np_dtype).kind not in "uibf":
        return False
    return len(feature.shape) == 2 or (len(feature.shape) == 3 and feature.shape[2] in (1, 3))


def _names_classes(feature: Any) -> bool:
    """Whether a feature is a class label, or text or a whole number that can be the name of one."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.ClassLabel | tfds.features.Text):
        return True
    scalar = isinstance(feature, tfds.features.Tensor) and feature.shape == ()
    return scalar and np.dtype(feature.np_dtype).kind in "ui"


def _prepare(builder: Any, value: str) -> None:
    try:
        builder.download_and_prepare()
    # Networks, servers, disks and each data set's preparation raise errors of their own.
    except Exception as error:
        raise ArgumentError(
            "dataset",
            value,
            f"it is not prepared in {builder.data_dir} and could not be downloaded "
            f"({type(error).__name__}: {_first_line(error)}); give the folder where it is by "
            "data_dir, or use npz:PATH or folder:PATH.",
        ) from error


def _splits(builder: Any, asked: Sequence[str] | None, value: str) -> Sequence[str]:
    """The splits to join: those asked for, or all with the names of parts.

    Others, such as Omniglot's small1 and small2, repeat a part of these.
    """
    if asked is None:
        asked = [
            split for part in SPLITS for split in builder.info.splits if part_named(split) == part
        ]
        if not asked:
            raise ArgumentError(
                "dataset",
                value,
                "it has no split train, validation or test, but "
                f"{', '.join(builder.info.splits) or 'none'}; give some of these by tfds_splits.",
            )
    for split in asked:
        try:
            examples = builder.info.splits[split].num_examples
        except (KeyError, ValueError, AssertionError):
            examples = 0
        if not examples:
            raise ArgumentError(
                "tfds_splits",
                ",".join(asked),
                f"{value} has no examples in '{split}'; it has the splits "
                f"{', '.join(builder.info.splits) or 'none'}, or parts of them, as train[:50%].",
            )
    return asked


def _labels(
    builder: Any, split: str, feature: Any, key: str, value: str
) -> Iterator[tuple[str, str] | None]:
    """The class and the part of each example of a split; None for those without a label."""
    import tensorflow_datasets as tfds

    part = part_named(split.partition("[")[0]) or ""
    names = None
    if isinstance(feature, tfds.features.ClassLabel):
        names = [_class_name(builder.name, name) for name in feature.names]
    for batch in _read(builder, split, {key: True}, value, batch=4096):
        for label in batch[key]:
            if names is None:
                yield label.decode() if isinstance(label, bytes) else str(label), part
            else:
                yield (names[label], part) if 0 <= label < len(names) else None


def _images(builder: Any, split: str, feature: Any, value: str) -> Iterator[bytes | np.ndarray]:
    """The images of a split: encoded, to be decoded as those of a folder are, or pixels.

    Encoded ones come in batches, because TensorFlow takes longer to hand them over one by one than
    Pillow takes to decode them.
    """
    import tensorflow_datasets as tfds

    # Floating point numbers are stored as the bytes of pictures in colors.
    if isinstance(feature, tfds.features.Image) and feature.np_dtype != np.float32:
        skipped = {"image": tfds.decode.SkipDecoding()}
        for batch in _read(builder, split, {"image": True}, value, skipped, batch=256):
            yield from batch["image"]
    else:
        for example in _read(builder, split, {"image": True}, value):
            yield example["image"]


def _read(
    builder: Any,
    split: str,
    wanted: dict[str, bool],
    value: str,
    decoders: Any = None,
    batch: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The examples of a split, or batches of them, always in the same order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    partial = tfds.decode.PartialDecoding(wanted, decoders)
    # TensorFlow Datasets would hold small sets in memory, for later rounds.
    once = tfds.ReadConfig(try_autocache=False)
    examples = builder.as_dataset(
        split=split, decoders=partial, shuffle_files=False, read_config=once
    )
    try:
        yield from (examples.batch(batch) if batch else examples).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise ArgumentError(
            "dataset",
            value,
            f"what is prepared in {builder.data_dir} cannot be read ({_first_line(error)}); remove "
            "it, and prepare it again.",
        ) from None


def _identity(builder: Any, splits: Iterable[str]) -> list[Any]:
    paths = (str(path) for split in splits for path in builder.info.splits[split].filepaths)
    return cache.identities(paths)


def _pixels(image: bytes | np.ndarray, image_size: int | None, value: str) -> np.ndarray:
    """One image as uint8 `[height, width, 1 or 3]`."""
    try:
        if isinstance(image, bytes):
            picture = pictures.decode(io.BytesIO(image))
        else:
            levels = _levels(image.squeeze(axis=2) if image.shape[2:] == (1,) else image)
            picture = Image.fromarray(levels)
    except (pictures.UnreadableError, ValueError) as error:
        raise ArgumentError(
            "dataset", value, f"one of its images cannot be read ({error}); choose another set."
        ) from None
    return pictures.resize(picture, image_size)


def _levels(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any type as uint8.

    Raises:
        ValueError: it is not clear what is white.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels * np.uint8(255)
    if pixels.dtype == np.uint16:
        return np.round(pixels / 257).astype(np.uint8)
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(pixels * 255).astype(np.uint8)
    if pixels.dtype.kind in "iu" and low >= 0 and high <= 255:
        return pixels.astype(np.uint8)
    raise ValueError(f"it is {pixels.dtype} with pixels from {low:g} to {high:g}")


def _class_name(dataset: str, label: str) -> str:
    if dataset != "omniglot":
        return label
    # Labels count the characters of an alphabet from 0, the image archives count from 1.
    alphabet, _, index = label.rpartition("_")
    return f"{alphabet}/character{int(index) + 1:02d}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
