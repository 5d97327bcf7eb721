"""Image classes from TensorFlow Datasets."""

import io

from tfmeta.data import pictures
from tfmeta.data.image_classes import SPLITS, ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.merging import merged
from tfmeta.errors import ArgumentError


@loader("NAME", uses_tensorflow=True)
def load_tfds(name: str, options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Reads the classes, sorted by name, of a TFDS data set with the features image and label.

    It joins the splits train, validation and test, as far as there are any. They become the split
    of the classes if no class is in two of them, as in Omniglot. Classes have the names of their
    labels; Omniglot's have those of its archives, such as "Greek/character01". Nothing is
    downloaded if the data set is prepared in `data_dir`.

    Args:
        name: as `tfds.builder` takes it, such as "omniglot" or "emnist/letters".
        options: `image_size`, `channels` and `data_dir` apply.

    Raises:
        ArgumentError: naming `dataset`, if there is no such data set, it has no images with labels,
            or it is not prepared and cannot be downloaded, or `image_size`, if it is None and sizes
            differ.
    """
    # Imported here because it imports TensorFlow, which takes seconds.
    import tensorflow_datasets as tfds

    value = f"tfds:{name}"
    try:
        builder = tfds.builder(name, data_dir=options.data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise ArgumentError(
            "dataset",
            value,
            f"TensorFlow Datasets does not have it ({_first_line(error)}); give one of "
            "https://www.tensorflow.org/datasets/catalog/overview",
        ) from None
    features = dict(builder.info.features or {})
    if not isinstance(features.get("image"), tfds.features.Image) or not isinstance(
        features.get("label"), tfds.features.ClassLabel
    ):
        raise ArgumentError(
            "dataset", value, "it has no features image and label; choose a set with both."
        )
    if not builder.is_prepared():
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
    names = [_class_name(builder.name, name) for name in features["label"].names]
    images, labels = [], []
    # Other splits, such as Omniglot's small1 and small2, repeat a part of these.
    for split in SPLITS:
        if split not in builder.info.splits:
            continue
        # Encoded images, to be decoded as those of a folder are. They come in batches, because
        # TensorFlow takes longer to hand them over one by one than Pillow takes to decode them.
        examples = (
            builder.as_dataset(
                split=split, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False
            )
            .map(lambda example: (example["image"], example["label"]))
            .batch(256)
        )
        for batch in examples.as_numpy_iterator():
            for image, label in zip(*batch, strict=True):
                picture = pictures.decode(io.BytesIO(image))
                images.append(pictures.resize(picture, options.image_size))
                labels.append((names[label], split))
    if not images:
        raise ArgumentError(
            "dataset", value, "it has no split train, validation or test; choose another set."
        )
    return merged(images, labels, options)


def _class_name(dataset: str, label: str) -> str:
    if dataset != "omniglot":
        return label
    # Labels count the characters of an alphabet from 0, the image archives count from 1.
    alphabet, _, index = label.rpartition("_")
    return f"{alphabet}/character{int(index) + 1:02d}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
