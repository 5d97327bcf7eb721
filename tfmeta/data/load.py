"""Image classes by the name of a data set."""

from PIL import Image

from tfmeta.data import pictures
from tfmeta.data.folder import load_folder
from tfmeta.data.glyphs import glyphs
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.npz import load_npz
from tfmeta.data.tfds import load_tfds
from tfmeta.errors import ArgumentError


def load_image_classes(
    dataset: str,
    image_size: int | None = 28,
    channels: int | None = None,
    data_dir: str | None = None,
    seed: int = 0,
) -> ImageClasses:
    """Loads or draws image classes.

    Args:
        dataset: "glyphs" (drawn characters), "tfds:NAME" (TensorFlow Datasets), "folder:PATH" (a
            directory per class), or "npz:PATH" (an array of images).
        image_size: height and width to resize to; None keeps the size that the data has.
        channels: 1 (gray) or 3 (color); None for what the data has.
        data_dir: the folder of prepared sets for "tfds:"; None for that of TFDS.
        seed: the script that "glyphs" draws.

    Raises:
        ArgumentError: naming the argument that cannot be used.
    """
    if image_size is not None and image_size < 1:
        raise ArgumentError("image_size", image_size, "give the number of pixels, at least 1")
    if channels not in (None, 1, 3):
        raise ArgumentError("channels", channels, "give 1 (gray) or 3 (color)")
    kind, _, place = dataset.partition(":")
    if dataset == "glyphs":
        return _converted(glyphs(size=image_size or 28, seed=seed), None, channels)
    if kind == "tfds" and place:
        return load_tfds(place, image_size, data_dir, channels)
    if kind == "folder" and place:
        return load_folder(place, image_size, channels)
    if kind == "npz" and place:
        return _converted(load_npz(place), image_size, channels)
    raise ArgumentError(
        "dataset",
        dataset,
        "there is no such data set; use glyphs, tfds:NAME, folder:PATH or npz:PATH",
    )


def _converted(classes: ImageClasses, image_size: int | None, channels: int | None) -> ImageClasses:
    """The classes with images of another size or number of channels."""
    height, width, depth = classes.image_shape
    if image_size in (None, height) and height == width and channels in (None, depth):
        return classes
    images = [
        pictures.resize(Image.fromarray(image[..., 0] if depth == 1 else image), image_size)
        for image in classes.images
    ]
    return ImageClasses(
        images=pictures.stack(images, channels or depth),
        counts=classes.counts,
        names=classes.names,
        split=classes.split,
    )
