"""Image classes from a folder, in which every directory with images is a class."""

import collections
import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfmeta.data import cache, pictures
from tfmeta.data.files_below import files_below
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.merging import merged
from tfmeta.data.names import part_named, readable
from tfmeta.data.threads import in_order
from tfmeta.errors import ArgumentError, DataWarning

_A_CLASS = "put the images of each class into a directory of its own."


class _File(NamedTuple):
    folders: tuple[str, ...]  # on the way to it
    path: str


@loader("PATH")
def load_folder(path: str, options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Reads image classes, sorted by name, from a folder.

    Every directory with images in it is a class. Its name is its path below the folder, such as
    "Greek/character01". Images are in the order of their file names. An image is what Pillow
    decodes, whatever its suffix; a warning counts the files that are none.

    If all folders with images at the top have names of parts of a split, such as "train" and
    "valid", they are the split and not part of class names. A single folder at the top, as in many
    archives, is not part of class names either. See docs/images.md.

    Args:
        path: the folder.
        options: `image_size`, `channels` and `cache_dir` apply.

    Raises:
        ArgumentError: naming `dataset`, if the folder or an image in it cannot be used, or
            `image_size`, if it is None and sizes differ.
    """
    value = f"folder:{path}"
    path = os.path.expanduser(path)
    if not os.path.isdir(path):
        found = "this is a file" if os.path.exists(path) else "there is no such folder"
        raise ArgumentError("dataset", value, f"{found}; give the path of a folder of images.")
    try:
        files = [_File(folders, file) for folders, file in files_below(path)]
    except OSError as error:
        raise ArgumentError(
            "dataset", value, f"'{error.filename}' cannot be read ({error.strerror}); open it."
        ) from None
    with _without_warnings_of_pillow():
        images = [file for file in files if pictures.is_image(file.path)]
    others = sorted(set(files) - set(images))
    if others:
        warnings.warn(_left_out(others, value), DataWarning, stacklevel=2)
    if not images:
        raise ArgumentError(
            "dataset", value, f"there is no image in any directory of it; {_A_CLASS}"
        )
    labels = _labels(images, value)
    paths = [file.path for file in images]
    with _without_warnings_of_pillow():
        pixels = _read(paths, options.image_size, value)
        return merged(pixels, labels, options, cache.identities(paths))


@contextlib.contextmanager
def _without_warnings_of_pillow() -> Iterator[None]:
    """Passes over those of what viewers take as it is, such as very large images."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def _read(paths: Sequence[str], image_size: int | None, value: str) -> Iterator[np.ndarray]:
    """The pixels of each image; at the end an error that names all that are damaged."""
    damaged: dict[str, pictures.UnreadableError] = {}

    def read(path: str) -> np.ndarray | None:
        try:
            return pictures.resize(pictures.decode(path), image_size)
        except pictures.UnreadableError as error:
            damaged[path] = error
            return None

    for pixels in in_order(read, paths):
        if pixels is not None and not damaged:
            yield pixels
    if damaged:
        named = ", ".join(f"'{path}' ({damaged[path]})" for path in sorted(damaged))
        several = len(damaged) > 1
        raise ArgumentError(
            "dataset",
            value,
            f"the image{'s' if several else ''} {named} cannot be read; replace or remove "
            f"{'them' if several else 'it'}.",
        )


def _left_out(others: Sequence[_File], value: str) -> str:
    """The warning that counts files by their suffixes."""
    suffixes = collections.Counter(
        sorted(os.path.splitext(file.path)[1].lower() for file in others)
    )
    counts = ", ".join(
        f"{count} {suffix or 'without suffix'}" for suffix, count in suffixes.most_common(5)
    )
    more = ", ..." if len(suffixes) > 5 else ""
    files = "1 file is" if len(others) == 1 else f"{len(others)} files are"
    return f"{value}: {files} no image that can be read, and left out ({counts}{more})."


def _labels(images: Sequence[_File], value: str) -> list[tuple[str, str]]:
    """The class and the part ("" for none) of each image, by the folders on the way to it."""
    ways = {file.folders for file in images}
    skipped = 0
    while len({way[:1] for way in ways}) == 1 and min(map(len, ways)) > 1:
        if part_named(next(iter(ways))[0]):
            break
        ways = {way[1:] for way in ways}
        skipped += 1
    split = all(way and part_named(way[0]) for way in ways)
    _check_parts({way[1:] for way in ways} if split else ways, value)
    labels = []
    for file in images:
        part, *names = file.folders[skipped:] if split else ("", *file.folders[skipped:])
        if not names:
            raise ArgumentError(
                "dataset", value, f"the image '{file.path}' belongs to no class; {_A_CLASS}"
            )
        labels.append(("/".join(map(readable, names)), part_named(part) or ""))
    return labels


def _check_parts(ways: Iterable[tuple[str, ...]], value: str) -> None:
    """Refuses parts of a split where they would be taken for classes, the same ones twice."""
    beside = collections.defaultdict(set)
    for way in ways:
        for depth, name in enumerate(way):
            beside[way[:depth]].add(name)
    for above, names in beside.items():
        parts = sorted(name for name in names if part_named(name))
        if len({part_named(name) for name in parts}) > 1:
            others = sorted(names - set(parts))
            first, second = ("/".join((*above, name)) for name in parts[:2])
            problem = f"'{others[0]}' is beside them" if others else "they are within a class"
            raise ArgumentError(
                "dataset",
                value,
                f"the folders '{first}' and '{second}' have names of parts of a split, but "
                f"{problem}; let parts stand alone at the top, or rename them.",
            )
