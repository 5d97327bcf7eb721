"""Image classes by the name of a data set."""

import os
import re
from collections.abc import Sequence

from tfmeta.checks import check_count
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import LoadOptions
from tfmeta.errors import ArgumentError
from tfmeta.registry import LOADERS


def load_image_classes(
    dataset: str,
    image_size: int | None = 28,
    channels: int | None = None,
    data_dir: str | None = None,
    seed: int = 0,
    cache_dir: str | None = None,
    label_key: str = "label",
    tfds_splits: Sequence[str] | None = None,
) -> ImageClasses:
    """Loads or draws image classes.

    Args:
        dataset: `"glyphs"` (drawn characters), `"tfds:NAME"` (TensorFlow Datasets),
            `"folder:PATH"` (one directory per class), or `"npz:PATH"` (an array of images).
        image_size: height and width to resize images to. None keeps the size of the data.
        channels: 1 (gray) or 3 (color). None keeps what the data has.
        data_dir: folder of prepared data sets for `"tfds:NAME"`. None means that of TFDS.
        seed: seed of the characters of `"glyphs"`.
        cache_dir: folder to keep the decoded images of files in, for sets larger than memory and
            to start sooner the next time. There is one `.npy` file for what was decoded and how;
            it is mapped into memory, of which it takes what is left over. It may be deleted
            whenever no run is using it. None means to hold the images in memory.
        label_key: the feature of `"tfds:NAME"` that holds the labels.
        tfds_splits: the splits of `"tfds:NAME"` to join, such as `["train", "extra"]`, or parts of
            them, such as `["train[:50%]"]`. None means train, validation and test, as far as there
            are any.

    Returns:
        The classes, sorted by name.

    Raises:
        ArgumentError: naming the argument that cannot be used.
    """
    if image_size is not None:
        check_count("image_size", image_size)
    if channels not in (None, 1, 3):
        raise ArgumentError("channels", channels, "give 1 (gray) or 3 (color).")
    name, _, place = dataset.partition(":")
    load = LOADERS.get(name)
    if load is None or (not place if load.place else dataset != name):
        *most, last = dataset_forms()
        raise ArgumentError(
            "dataset", dataset, f"there is no such data set; use {', '.join(most)} or {last}."
        )
    prepared, kept = (path and os.path.expanduser(path) for path in (data_dir, cache_dir))
    return load(
        place, LoadOptions(image_size, channels, prepared, seed, kept, label_key, tfds_splits)
    )


def dataset_forms() -> list[str]:
    """The forms that `dataset` can take, such as `"npz:PATH"`, one for each loader."""
    return [f"{name}:{load.place}" if load.place else name for name, load in LOADERS.items()]


def joined(dataset: str) -> list[str]:
    """The data sets that a `+` joins; one within a path joins nothing."""
    begin = "|".join(
        f"{re.escape(name)}:" if load.place else rf"{re.escape(name)}(?=\+|$)"
        for name, load in LOADERS.items()
    )
    return re.split(rf"\+(?={begin})", dataset)
