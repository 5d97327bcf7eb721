"""Image classes from a folder, in which every directory with images is a class."""

import concurrent.futures
import os
from collections import defaultdict

import numpy as np

from tfmeta.data import pictures
from tfmeta.data.image_classes import ImageClasses, merged
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.errors import ArgumentError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

# Names of top folders that are splits. The last two are those of the Omniglot archives.
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "images_background": "train",
    "images_evaluation": "test",
}


@loader("PATH")
def load_folder(path: str, options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Reads image classes, sorted by name, from a folder.

    Every directory with PNG, JPEG, BMP or GIF files in it is a class. Its name is its path below
    the folder, such as "Greek/character01". Images are in the order of their file names. Hidden
    files and files of other kinds are ignored.

    If all folders at the top have names of splits, they are the split and not part of class names.
    These names are train, val or validation, and test, or those of the Omniglot archives,
    images_background and images_evaluation. A single folder at the top, as in many archives, is not
    part of class names either.

    Args:
        path: the folder.
        options: `image_size` and `channels` apply.

    Raises:
        ArgumentError: naming `dataset`, if the folder or an image in it cannot be used, or
            `image_size`, if it is None and sizes differ.
    """
    value = f"folder:{path}"
    if not os.path.isdir(path):
        found = "this is a file" if os.path.exists(path) else "there is no such folder"
        raise ArgumentError("dataset", value, f"{found}; give the path of a folder of images.")
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
                    "into a directory of its own.",
                )
            if images:
                files[os.path.relpath(folder, top).replace(os.sep, "/"), split] = images
    if not files:
        raise ArgumentError(
            "dataset",
            value,
            "there is no PNG, JPEG, BMP or GIF image in any directory of it; put the images of "
            "each class into a directory of its own.",
        )

    def read(file: str) -> np.ndarray:
        try:
            return pictures.resize(pictures.decode(file), options.image_size)
        except pictures.UNREADABLE as error:
            raise ArgumentError(
                "dataset",
                value,
                f"the image '{file}' cannot be read ({error}); replace or remove it.",
            ) from None

    # Pillow releases Python's global lock while it decodes and resizes.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pixels = list(pool.map(read, (file for group in files.values() for file in group)))
    labels = [label for label, group in files.items() for _ in group]
    return merged(pictures.stack(pixels, options.channels), labels)


def _tops(path: str) -> list[tuple[str, str]]:
    """The folders that class names are relative to, each with its split, "" for none."""
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
