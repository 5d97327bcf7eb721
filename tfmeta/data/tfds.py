"""Image classes from TensorFlow Datasets."""

import io

from tfmeta.data import pictures
from tfmeta.data.image_classes import ImageClasses, merged
from tfmeta.errors import ArgumentError

# Other splits, such as Omniglot's small1 and small2, repeat a part of these.
_SPLITS = ("train", "validation", "test")


def load_tfds(
    name: str,
    image_size: int | None = None,
    data_dir: str | None = None,
    channels: int | None = None,
) -> ImageClasses:
    """Reads the classes, sorted by name, of any TFDS set with the features image and label.

    The images of its splits train, validation and test, as far as it has them, are put together;
    they are a split of the classes only where no class is in two of them, as in Omniglot. A class
    has the name of its label; Omniglot's get those of its archives, such as
    "Greek/character01". Nothing is downloaded if the set is already prepared in `data_dir`.

    Args:
        name: as `tfds.builder` takes it, such as "omniglot" or "emnist/letters".
        image_size: height and width to resize to; None keeps the size, which then must be the
            same for all images.
        data_dir: the folder of prepared sets; None for that of TFDS.
        channels: 1 (gray) or 3 (color); None for 3 where any image has colors, else 1.

    Raises:
        ArgumentError: naming the argument `dataset`, if there is no such set, it has no images
            with labels, or it is neither prepared nor to be downloaded; or `image_size`, if that
            is None and the sizes differ.
    """
    # Here, since it loads TensorFlow, which takes seconds that a wrong argument need not cost.
    import tensorflow_datasets as tfds

    value = f"tfds:{name}"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
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
            "dataset", value, "it has no features image and label; choose a set with both"
        )
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        # Networks, servers, disks and the preparation of each set fail in ways of their own.
        except Exception as error:
            raise ArgumentError(
                "dataset",
                value,
                f"it is not prepared in {builder.data_dir} and could not be downloaded "
                f"({type(error).__name__}: {_first_line(error)}); give the folder where it is by "
                "data_dir, or use npz: or folder:",
            ) from error
    names = [_class_name(builder.name, name) for name in features["label"].names]
    images, labels = [], []
    for split in _SPLITS:
        if split not in builder.info.splits:
            continue
        # The images as they are in the files, to be decoded as those of a folder are; in batches,
        # since handing them over one by one takes TensorFlow longer than decoding takes Pillow.
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
                images.append(pictures.resize(picture, image_size))
                labels.append((names[label], split))
    if not images:
        raise ArgumentError(
            "dataset", value, "it has no split train, validation or test; choose another set"
        )
    return merged(pictures.stack(images, channels), labels)


def _class_name(dataset: str, label: str) -> str:
    if dataset != "omniglot":
        return label
    # Its labels count the characters of an alphabet from 0, the archives of the images from 1.
    alphabet, _, index = label.rpartition("_")
    return f"{alphabet}/character{int(index) + 1:02d}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
