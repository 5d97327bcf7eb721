"""The flags of data, and the images that they name."""

import warnings

from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import joined, load_image_classes
from tfmeta.errors import ArgumentError, DataWarning
from tfmeta.registry import LOADERS, SOURCES
from tfmeta.tools.options.build import refuse
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS
SUBJECT = "Data"

flags.DEFINE_string(
    "dataset",
    "glyphs",
    "Where tasks come from: glyphs (drawn characters), tfds:NAME (TensorFlow Datasets), "
    "folder:PATH (a folder of images per class), npz:PATH (an array of images); several of these "
    f"joined by +, whose tasks are mixed, in gray; or {' or '.join(SOURCES)} (regression).",
)
flags.DEFINE_string("data_dir", None, "Folder of prepared TensorFlow Datasets, for tfds:NAME.")
flags.DEFINE_string("label_key", "label", "The feature of tfds:NAME that holds the labels.")
flags.DEFINE_list(
    "tfds_splits",
    None,
    "The splits of tfds:NAME to join, as train,extra. Default: train, validation and test, as far "
    "as there are any.",
)
flags.DEFINE_string(
    "cache_dir",
    None,
    "Folder to keep decoded images in: for sets larger than memory, and to start sooner the next "
    "time. It may be deleted when no run is using it. Default: images are held in memory.",
)
define_count("data_seed", 0, 0, "Draws the characters of glyphs and the classes of a seeded split.")
define_count(
    "image_size", 28, 8, "Height and width, in pixels, that images of other sizes are resized to."
)
flags.DEFINE_bool(
    "invert",
    False,
    "Show the negative, of mixed data too: dark ink on white becomes bright on black.",
)
define_count(
    "min_images", None, 1, "Leave out classes with fewer images than this. Default: none is."
)
NAMES = (
    *("dataset", "data_dir", "label_key", "tfds_splits", "cache_dir", "data_seed", "image_size"),
    *("invert", "min_images"),
)
_OF_TFDS = ("data_dir", "label_key", "tfds_splits")


def check(*others: str) -> None:
    """Refuses flags that say nothing to the data of `--dataset`.

    Args:
        *others: further flags that are of use for images alone.

    Raises:
        ArgumentError: naming the first such flag.
    """
    if FLAGS.dataset in SOURCES:
        useless = f"--dataset={FLAGS.dataset} has no images; leave it out."
        refuse((*NAMES[1:], *others), useless)
    elif not any(name.startswith("tfds:") for name in joined(FLAGS.dataset)):
        refuse(_OF_TFDS, f"--dataset={FLAGS.dataset} is not of TensorFlow Datasets; leave it out.")


def images(channels: int | None = None) -> list[ImageClasses]:
    """The sets of images that the flags name, none where tasks need no data.

    They are loaded without TensorFlow where they can be.

    Args:
        channels: of images, 1 or 3; None for what the data has.

    Raises:
        ArgumentError: naming the flag.
    """
    names = [] if FLAGS.dataset in SOURCES else joined(FLAGS.dataset)
    return [_loaded(name, 1 if len(names) > 1 else channels) for name in names]


def whole() -> ImageClasses | None:
    """All classes of the only set of images; None where tasks need no data.

    Raises:
        ArgumentError: naming the flag.
    """
    if len(joined(FLAGS.dataset)) > 1:
        raise ArgumentError("dataset", FLAGS.dataset, "several cannot be mixed here; give one.")
    return next((large(classes, FLAGS.min_images) for classes in images()), None)


def _loaded(name: str, channels: int | None) -> ImageClasses:
    load = LOADERS.get(name.partition(":")[0])
    if load is not None and load.uses_tensorflow:
        from tfmeta import distributed

        distributed.init(cycle_milliseconds=5)
    return load_image_classes(
        name,
        FLAGS.image_size,
        channels,
        FLAGS.data_dir,
        FLAGS.data_seed,
        FLAGS.cache_dir,
        FLAGS.label_key,
        FLAGS.tfds_splits,
    )


def large(classes: ImageClasses, least: int | None) -> ImageClasses:
    """The classes with at least so many images."""
    kept = classes if least is None else classes.with_at_least(least)
    if not len(kept):
        raise ArgumentError(
            "min_images",
            least,
            f"no class has as many images; lower it, to {classes.counts.max()} at most.",
        )
    if len(kept) < len(classes):
        warnings.warn(
            f"{len(classes) - len(kept)} of {len(classes)} classes have fewer than {least} images "
            "and are left out.",
            DataWarning,
            stacklevel=2,
        )
    return kept
