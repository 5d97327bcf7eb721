"""Decoded images, one after the other, put together to image classes."""

import collections
import itertools
from collections.abc import Iterable, Sequence
from typing import IO, Any

import numpy as np

from tfmeta.data import cache
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions
from tfmeta.data.storage import Storage


def merged(
    images: Iterable[np.ndarray],
    labels: Sequence[tuple[str, str]],
    options: LoadOptions = DEFAULTS,
    source: Any = None,
) -> ImageClasses:
    """Sorts images into classes, by name.

    Each image is put where it belongs as soon as it comes, so that besides the array that comes
    out there is one image at a time. With `options.cache_dir` that array is a file, and where
    there is one already, `images` is not iterated over.

    Many data sets are split by image, so that a class has images in several parts. The split is
    kept only if no class is in two parts.

    Args:
        images: uint8 `[height, width, 1 or 3]` each, all of one size.
        labels: name of the class and split ("" for none) of each image.
        options: `channels`, `image_size` and `cache_dir` apply.
        source: what the images are decoded from, of what JSON can hold. It changes whenever they
            do.

    Raises:
        ArgumentError: naming `image_size`, if the images differ in height or width, or are too
            large for the memory, or `cache_dir`, if they are too large for the disk.
    """
    order = sorted(range(len(labels)), key=lambda i: labels[i][0])
    rows = np.empty(len(labels), np.int64)
    rows[order] = np.arange(len(labels))
    counts = collections.Counter(labels[i][0] for i in order)
    splits = dict(labels)
    by_class = len(set(labels)) == len(counts) and "" not in splits.values()

    def stored(file: IO[bytes] | None = None) -> np.ndarray:
        storage = Storage(len(labels), options.image_size, options.channels, file)
        storage.fill(zip(rows.tolist(), images, strict=True))
        return storage.array()

    if options.cache_dir is None:
        array = stored()
    else:
        key = [source, options.image_size, options.channels, list(itertools.chain(*labels))]
        array = cache.kept(options.cache_dir, key, stored)
    return ImageClasses(
        images=array,
        counts=np.array(list(counts.values())),
        names=tuple(counts),
        split=tuple(splits[name] for name in counts) if by_class else None,
    )
