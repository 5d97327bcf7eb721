"""Image classes from a NumPy archive."""

import os
import zipfile
import zlib

import numpy as np

from tfmeta.data import pictures
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.names import part_named, readable
from tfmeta.errors import ArgumentError


@loader("PATH")
def load_npz(path: str, options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Reads image classes, sorted by name, from an `.npz` file.

    The file has an array `images`, `[classes, examples, height, width]` or
    `[classes, examples, height, width, channels]`, of uint8 or of floating point numbers in [0, 1].
    It may have strings `class_names`, `[classes]`, and `split`, `[classes]`, each train, validation
    or test, or another of the names that docs/images.md lists.

    Args:
        path: the file.
        options: `image_size` and `channels` apply.

    Raises:
        ArgumentError: naming `dataset`, if the file cannot be used.
    """
    value = f"npz:{path}"
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        found = "this is a folder" if os.path.isdir(path) else "there is no such file"
        raise ArgumentError("dataset", value, f"{found}; give the path of an .npz file")
    if not zipfile.is_zipfile(path):
        raise ArgumentError(
            "dataset", value, "this is no .npz file, or a truncated one; write or fetch it again."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = archive.files
            arrays: dict[str, np.ndarray] = {
                str(name): np.asarray(archive[name])
                for name in ("images", "class_names", "split")
                if name in present
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            problem = (
                "it holds pickled objects, which could run any program and are not read; save "
                "plain arrays, with images all of one shape."
            )
        else:
            problem = f"the file is damaged ({error}); write or fetch it again."
        raise ArgumentError("dataset", value, problem) from None
    if "images" not in arrays:
        raise ArgumentError(
            "dataset",
            value,
            f"it has no array `images`, only {', '.join(present) or 'nothing'}; save the images "
            "under that name.",
        )
    images = _pixels(arrays["images"], value)
    classes, examples, *image_shape = images.shape
    names = _text(arrays, "class_names", classes, value)
    if names is not None:
        names = tuple(map(readable, names))
    else:
        names = tuple(f"class{i:0{len(str(classes - 1))}d}" for i in range(classes))
    if len(set(names)) < classes:
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(
            "dataset", value, f"`class_names` has '{twice}' twice; give every class its own name."
        )
    split = _text(arrays, "split", classes, value)
    if split is not None:
        parts = {name: part_named(name) for name in sorted(set(split))}
        for name, part in parts.items():
            if part is None:
                raise ArgumentError(
                    "dataset",
                    value,
                    f"`split` has the name '{name}'; use train, validation and test.",
                )
        split = tuple(str(parts[name]) for name in split)
    whole = ImageClasses(
        images=images.reshape(classes * examples, *image_shape),
        counts=np.full(classes, examples),
        names=names,
        split=split,
    ).subset(sorted(range(classes), key=names.__getitem__))
    return pictures.converted(whole, options.image_size, options.channels)


def _pixels(images: np.ndarray, value: str) -> np.ndarray:
    """The images as uint8 `[classes, examples, height, width, channels]`."""
    if images.ndim not in (4, 5) or 0 in images.shape:
        raise ArgumentError(
            "dataset",
            value,
            f"`images` has shape {images.shape}; expected [class, example, height, width] or "
            "[class, example, height, width, channel], none of them 0.",
        )
    if images.ndim == 4:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise ArgumentError(
            "dataset",
            value,
            f"`images` has {images.shape[-1]} channels; save gray (1) or color (3) images.",
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ArgumentError(
            "dataset",
            value,
            f"`images` is {images.dtype}; save uint8, or floating point numbers from 0 to 1.",
        )
    if not np.isfinite(images).all():
        raise ArgumentError(
            "dataset",
            value,
            "`images` has pixels that are not finite (NaN or infinite); mend them.",
        )
    if images.min() < 0 or images.max() > 1:
        raise ArgumentError(
            "dataset",
            value,
            f"`images` is {images.dtype} with pixels from {images.min():g} to {images.max():g}; "
            "scale them to 0 to 1, or save uint8.",
        )
    return np.round(images * 255).astype(np.uint8)


def _text(
    arrays: dict[str, np.ndarray], name: str, classes: int, value: str
) -> tuple[str, ...] | None:
    """The array of that name as one string for each class, or None if there is none."""
    if name not in arrays:
        return None
    array = arrays[name]
    if array.shape != (classes,) or array.dtype.kind not in "US":
        raise ArgumentError(
            "dataset",
            value,
            f"`{name}` is {array.dtype} of shape {array.shape}; expected {classes} strings, one "
            "per class of `images`.",
        )
    return tuple(str(text) for text in array.astype(str))
