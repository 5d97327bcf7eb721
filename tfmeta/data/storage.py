"""Where decoded images are put one by one: memory, or a file that is mapped into it."""

import errno
import io
import math
import mmap
import os
from collections.abc import Iterable
from typing import IO

import numpy as np
from PIL import Image

from tfmeta.environment import memory
from tfmeta.errors import ArgumentError


class Storage:
    """An array of images that grows from gray to color where it stands.

    Whether any image has colors is known only when all are decoded. So images are gray at first;
    the first one with colors makes room for three channels, and those that are there are spread
    over it. Nothing is held twice, and the array that comes out is all that was taken.

    Args:
        count: number of images.
        image_size: height and width. None means those of the first image.
        channels: 1 or 3. None means 3 if any image has colors, else 1.
        file: an empty file, open for reading and writing, that becomes an `.npy` file. None means
            memory.

    Raises:
        ArgumentError: naming `image_size`, if images differ in height or width, or take more than
            what is left of memory.
        OSError: the file cannot be written, or takes more than what is left of the disk.
    """

    def __init__(
        self,
        count: int,
        image_size: int | None,
        channels: int | None,
        file: IO[bytes] | None = None,
    ):
        self.count = count
        self.image_size = image_size
        self.channels = channels or 1
        self._may_grow = channels is None
        self._file = file
        self._size = (image_size or 0, image_size or 0)
        self._mapped: mmap.mmap | None = None
        if image_size:
            self._take()

    def fill(self, placed: Iterable[tuple[int, np.ndarray]]) -> None:
        """Puts images, uint8 `[height, width, 1 or 3]`, each with the number of its row."""
        for row, image in placed:
            size = image.shape[:2]
            if not any(self._size):
                self._size = size
                self._take()
            elif self._size != size:
                smallest, largest = sorted([self._size, size])
                raise ArgumentError(
                    "image_size",
                    None,
                    f"the images have different sizes, from {smallest[0]}x{smallest[1]} to "
                    f"{largest[0]}x{largest[1]}; give the size to resize them to.",
                )
            if self._may_grow and self.channels < image.shape[2]:
                self._spread()
            self._rows()[row] = _with_channels(image, self.channels)

    def array(self) -> np.ndarray:
        """The images, uint8 `[count, height, width, channels]`."""
        rows = self._rows()
        if self._file is not None and self._mapped is not None:
            self._mapped[: self._start] = self._header()
            self._mapped.flush()
        return rows

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.count, *self._size, self.channels)

    @property
    def _start(self) -> int:
        """Where the images begin, in bytes; the header of a file is as long for 3 channels."""
        return 0 if self._file is None else len(self._header())

    def _header(self) -> bytes:
        described = {"descr": "|u1", "fortran_order": False, "shape": self._shape}
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, described)
        return header.getvalue()

    def _rows(self) -> np.ndarray:
        if self._mapped is None:
            return np.empty(self._shape, np.uint8)
        return np.ndarray(self._shape, np.uint8, self._mapped, self._start)

    def _take(self) -> None:
        """Takes memory, or disk, for all images; more of it where they have been gray."""
        needed = math.prod(self._shape)
        taken = 0 if self._mapped is None else needed // self.channels
        if self._file is None and needed - taken > (left := memory.available()):
            raise self._too_large(needed, f"{memory.readable(left)} of memory are left")
        length = self._start + needed
        try:
            if self._file is not None:
                _take_of_disk(self._file, length)
            if self._mapped is not None:
                self._mapped.resize(length)
            elif self._file is not None:
                self._mapped = mmap.mmap(self._file.fileno(), length)
            else:
                self._mapped = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, MemoryError) as error:
            if self._file is not None:
                raise
            raise self._too_large(needed, f"memory is limited ({error})") from None

    def _too_large(self, needed: int, problem: str) -> ArgumentError:
        return ArgumentError(
            "image_size",
            self.image_size,
            f"{self.count} decoded images take {memory.readable(needed)}, and {problem}; lower it, "
            "or give a folder to keep images of files in by cache_dir.",
        )

    def _spread(self) -> None:
        self.channels = 3
        self._take()
        color = self._rows()
        gray = np.ndarray((*self._shape[:3], 1), np.uint8, self._mapped, self._start)
        # From the last one on, so that none is written over before it is read.
        for row in reversed(range(self.count)):
            color[row] = gray[row].copy()


def _take_of_disk(file: IO[bytes], length: int) -> None:
    """A mapped file that finds the disk full would end the process without a word."""
    disk = os.fstatvfs(file.fileno())
    if length - os.fstat(file.fileno()).st_size > disk.f_bavail * disk.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(file.fileno(), 0, length)


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(Image.fromarray(image).convert("L"))[..., np.newaxis]
