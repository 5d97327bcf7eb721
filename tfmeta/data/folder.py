"""Image classes from a folder: every directory that holds images is a class."""

import concurrent.futures
import os
from collections import defaultdict

import numpy as np

from tfmeta.data import pictures
from tfmeta.data.image_classes import ImageClasses, merged
from tfmeta.errors import ArgumentError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

# Names of top folders that are splits; the last two are those of the Omniglot archives.
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "images_background": "train",
    "images_evaluation": "test",
}


def load_folder(
    path: str, image_size: int | None = None, channels: int | None = None
) -> ImageClasses:
    """Reads image classes, sorted by name, from a folder.

    Every directory that holds PNG, JPEG, BMP or GIF files directly is a class, named by its path
    below the folder, such as "Greek/character01"; its images are in the order of their file names.
    Hidden files and files of other kinds are passed over.

    If the folders at the top all have names of splits (train, val or validation, test; or those of
    the Omniglot archives, images_background and images_evaluation), then these are the split and
    not part of the names. A lone folder at the top, as archives often have, is not part of them
    either.

    Args:
        path: the folder.
        image_size: height and width to resize to; None keeps the size, which then must be the
            same for all images.
        channels: 1 (gray) or 3 (color); None for 3 where any image has colors, else 1.

    Raises:
        ArgumentError: naming the argument `dataset`, if the folder or an image in it cannot be
            used, or `image_size`, if that is None and the sizes differ.
    """
    value = f"folder:{path}"
    if not os.path.isdir(path):
        found = "this is a file" if os.path.exists(path) else "there is no such folder"
        raise ArgumentError("dataset", value, f"{found}; give the path of a folder of images")
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for split, top in _tops(path):
        for folder, folders, names in os.walk(top, followlinks=True):
            folders[:] = (name for name in folders if not name.startswith("."))
            images = [os.path.join(folder, name) for name in sorted(names) if _is_image(name)]
            if images and folder == top:
                raise ArgumentError(
                    "dataset",
                    value,
                    f"the image '{images[0]}' belongs to no class; put the images of each class "
                    "into a directory of its own",
                )
            if images:
                files[os.path.relpath(folder, top).replace(os.sep, "/"), split] = images
    if not files:
        raise ArgumentError(
            "dataset",
            value,
            "there is no PNG, JPEG, BMP or GIF image in any directory of it; put the images of "
            "each class into a directory of its own",
        )

    def read(file: str) -> np.ndarray:
        try:
            return pictures.resize(pictures.decode(file), image_size)
        except pictures.UNREADABLE as error:
            raise ArgumentError(
                "dataset",
                value,
                f"the image '{file}' cannot be read ({error}); replace or remove it",
            ) from None

    # Pillow decodes and resizes outside Python's global lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pixels = list(pool.map(read, (file for group in files.values() for file in group)))
    labels = [label for label, group in files.items() for _ in group]
    return merged(pictures.stack(pixels, channels), labels)


def _tops(path: str) -> list[tuple[str, str]]:
    """The folders below which names of classes begin, with the split each one stands for."""
    inside = sorted(
        entry.name for entry in os.scandir(path) if entry.is_dir() and entry.name[0] != "."
    )
    if inside and set(inside) <= set(_SPLIT_FOLDERS):
        return [(_SPLIT_FOLDERS[name], os.path.join(path, name)) for name in inside]
    if len(inside) == 1:
        below = os.path.join(path, inside[0])
        if not any(_is_image(name) for folder in (path, below) for name in os.listdir(folder)):
            return _tops(below)
    return [("", path)]


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")
