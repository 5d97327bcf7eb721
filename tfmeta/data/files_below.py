"""The files of a data set below a folder, without what systems leave beside them."""

import os
from collections.abc import Iterator

# What archives, desktops and storage systems put beside images, besides hidden files.
_OF_SYSTEMS = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "@recycle", "#recycle"),
    *("@tmp", "#snapshot", "@recently-snapshot", "$recycle.bin", "system volume information"),
    "lost+found",
}


def files_below(top: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The files below a folder, sorted by folder, then by name.

    It passes over hidden files and folders, thumbnails, bins and snapshots of a NAS, and what macOS
    and Windows leave in archives and folders. It follows links, except those to folders that hold
    the link or are visited anyway, so that no file comes twice through them.

    Args:
        top: the folder.

    Yields:
        The names of the folders on the way from `top`, and the path of the file.

    Raises:
        OSError: a folder cannot be read.
    """
    root = os.path.realpath(top)
    waiting: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [((), top, (root,))]
    while waiting:
        names, folder, above = waiting.pop()
        with os.scandir(folder) as found:
            entries = sorted((e for e in found if not _is_of_system(e.name)), key=_name)
        below = []
        for entry in entries:
            if os.path.isdir(entry.path):  # a link to itself is none, and no error as in entry
                real = os.path.realpath(entry.path)
                if not (entry.is_symlink() and _comes_anyway(real, above)):
                    below.append(((*names, entry.name), entry.path, (*above, real)))
            # A link to nothing counts, so that the image which it should be is missed.
            elif os.path.isfile(entry.path) or not os.path.exists(entry.path):
                yield names, entry.path
        waiting += reversed(below)


def _name(entry: os.DirEntry) -> str:
    return entry.name


def _is_of_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def _comes_anyway(real: str, above: tuple[str, ...]) -> bool:
    """Whether a link leads to one of the folders above it or beyond, or to one that is visited."""
    if any(os.path.commonpath([real, folder]) == real for folder in above):
        return True
    names = os.path.relpath(real, above[0]).split(os.sep)
    return names[0] != os.pardir and not any(map(_is_of_system, names))
