"""Image classes from a NumPy archive."""

import contextlib
import itertools
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from tfmeta.data import cache, pictures
from tfmeta.data.archive import ArchivedArray
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.merging import merged
from tfmeta.data.names import part_named, readable
from tfmeta.data.threads import in_order
from tfmeta.errors import ArgumentError

_PICKLED = (
    "it holds pickled objects, which could run any program and are not read; save plain arrays, "
    "with images all of one shape."
)


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
    with _reading(value), np.load(path, allow_pickle=False) as archive:
        present = archive.files
        texts: dict[str, np.ndarray] = {
            name: np.asarray(archive[name]) for name in ("class_names", "split") if name in present
        }
    if "images" not in present:
        raise ArgumentError(
            "dataset",
            value,
            f"it has no array `images`, only {', '.join(present) or 'nothing'}; save the images "
            "under that name.",
        )
    with _reading(value):
        array = ArchivedArray(path, "images")
    _check(array, value)
    classes, examples = array.shape[:2]
    names = _text(texts, "class_names", classes, value)
    if names is not None:
        names = tuple(map(readable, names))
    else:
        names = tuple(f"class{i:0{len(str(classes - 1))}d}" for i in range(classes))
    if len(set(names)) < classes:
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(
            "dataset", value, f"`class_names` has '{twice}' twice; give every class its own name."
        )
    split = _text(texts, "split", classes, value)
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
    labels = [
        label for label in zip(names, split or [""] * classes, strict=True) for _ in range(examples)
    ]
    images: Iterable[np.ndarray] = itertools.chain.from_iterable(_levels(array, value))
    if options.image_size is not None and array.shape[2:4] != (options.image_size,) * 2:
        images = in_order(lambda image: _resized(image, options.image_size), images)
    return merged(images, labels, options, cache.identities([path]))


@contextlib.contextmanager
def _reading(value: str) -> Iterator[None]:
    """Says what is wrong with an archive that cannot be read."""
    try:
        yield
    # zipfile, its decompressors and NumPy raise errors of many kinds for damaged files.
    except Exception as error:
        if "allow_pickle" in str(error):
            raise ArgumentError("dataset", value, _PICKLED) from None
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise ArgumentError(
            "dataset", value, f"the file is damaged ({problem}); write or fetch it again."
        ) from None


def _check(array: ArchivedArray, value: str) -> None:
    """Refuses arrays that are none of images."""
    shape, dtype = array.shape, array.dtype
    if dtype.hasobject:
        raise ArgumentError("dataset", value, _PICKLED)
    if len(shape) not in (4, 5) or 0 in shape:
        raise ArgumentError(
            "dataset",
            value,
            f"`images` has shape {shape}; expected [class, example, height, width] or "
            "[class, example, height, width, channel], none of them 0.",
        )
    if len(shape) == 5 and shape[-1] not in (1, 3):
        raise ArgumentError(
            "dataset",
            value,
            f"`images` has {shape[-1]} channels; save gray (1) or color (3) images.",
        )
    if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise ArgumentError(
            "dataset",
            value,
            f"`images` is {dtype}; save uint8, or floating point numbers from 0 to 1.",
        )


def _levels(array: ArchivedArray, value: str) -> Iterator[np.ndarray]:
    """Pieces of the images, as uint8 `[images, height, width, channels]`."""
    pieces = array.pieces(axes=2)
    low, high = np.inf, -np.inf
    while True:
        with _reading(value):
            piece = next(pieces, None)
        if piece is None:
            break
        if piece.ndim == 3:
            piece = piece[..., np.newaxis]
        if piece.dtype != np.uint8:
            if not np.isfinite(piece).all():
                raise ArgumentError(
                    "dataset",
                    value,
                    "`images` has pixels that are not finite (NaN or infinite); mend them.",
                )
            low, high = min(low, piece.min()), max(high, piece.max())
            piece = np.round(piece.clip(0, 1) * 255).astype(np.uint8)
        yield piece
    if low < 0 or high > 1:
        raise ArgumentError(
            "dataset",
            value,
            f"`images` is {array.dtype} with pixels from {low:g} to {high:g}; scale them to 0 to "
            "1, or save uint8.",
        )


def _resized(image: np.ndarray, image_size: int | None) -> np.ndarray:
    gray = image.shape[2] == 1
    return pictures.resize(Image.fromarray(image[..., 0] if gray else image), image_size)


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
    if array.dtype.kind == "U":
        codes = array.astype(array.dtype.newbyteorder("=")).view(np.uint32)
        if codes.max() > sys.maxunicode:
            raise ArgumentError(
                "dataset", value, f"`{name}` has characters that are none; write the file again."
            )
    texts = array.tolist()
    return tuple(os.fsdecode(text) if isinstance(text, bytes) else text for text in texts)
