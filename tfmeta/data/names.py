"""Names of classes and of the parts of a split, however files and people spell them."""

import codecs
import os
import re
import unicodedata

# What data sets call their parts. The last two are folders of the Omniglot archives.
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
    "images_background": "train",
    "images_evaluation": "test",
}


def part_named(name: str) -> str | None:
    """The part of a split that goes by this name, in any case; None if none does."""
    return _PARTS.get(name.casefold())


def readable(name: str) -> str:
    """The name of a file or class as text that compares equal however it was encoded.

    Letters with accents are single characters (Unicode's form NFC), though macOS and some archives
    write them apart. Bytes that are no UTF-8 are read as Latin-1.

    Args:
        name: as Python gives names of files, with marks in the place of such bytes.
    """
    name = re.sub("[\udc80-\udcff]", lambda mark: chr(ord(mark[0]) - 0xDC00), name)
    return unicodedata.normalize("NFC", name)


def read_names(path: str) -> list[str]:
    """The lines of a text file that are not empty, as `readable` names without spaces around them.

    The file is UTF-8, or UTF-16 with a byte order mark, or else read as Latin-1.
    """
    with open(path, "rb") as file:
        content = file.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")
    else:
        text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    # Not splitlines, which also ends lines at characters that names may have.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [readable(line.strip()) for line in lines if line.strip()]
